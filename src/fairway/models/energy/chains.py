"""Chains that outlive a step of training: kept with the weights, and where draws go on.

    chains (K, *U), contexts (K, C), step_size ()        buffers: saved and loaded with the parameters

The chains that trained an energy (`objectives.persistent`) have found their way to the data already. Row i of a draw
goes on from a chain of its own, picked by a permutation that the seed decides, or from one whose context is nearest to
its own; there are K of them, so rows beyond K share a start (and not their noise). A model that was trained without
chains starts at its births.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fairway.core.random import Rows
from fairway.networks.joined import joined


class KeepsChains:
    """A model that starts draws where the chains of its training ended."""

    chains: Tensor
    contexts: Tensor
    step_size: Tensor

    if TYPE_CHECKING:  # what a model has

        def __getattr__(self, name: str) -> Any: ...

    def _register_chains(self, shape: tuple[int | None, ...], width: int = 0, step_size: float = 1.0) -> None:
        """Room for chains of points of a shape, with contexts of so many numbers; none yet."""
        self.register_buffer("chains", torch.zeros(0, *(s or 1 for s in shape)))
        self.register_buffer("contexts", torch.zeros(0, width))
        self.register_buffer("step_size", torch.tensor(step_size))

    @abstractmethod
    def _births(self, rows: Rows) -> Tensor:
        """Where chains are born, one per row, (B, *U)."""

    def _chains(self, context: Tensor | None, rows: Rows) -> Tensor:
        """Where draws start: row i at its own persistent chain (of the nearest context), or where chains are born."""
        if not len(self.chains):
            return self._births(rows)
        if context is not None:
            distance = torch.cdist(joined(context), self.contexts)
            return self.chains[(distance + 1e-4 * rows.uniform(len(self.chains))).argmin(1)]
        order = torch.randperm(len(self.chains), generator=rows.shared())
        index = torch.arange(rows.start, rows.start + rows.n) % len(self.chains)
        return self.chains[order[index].to(self.chains.device)]

    def _keep(self, chains: Tensor, contexts: Tensor, step_size: Tensor) -> None:
        """What training hands over at every step: chains (K, *U), their contexts (K, C), the step size that suits
        them. All are copied, into the memory of the last ones where there are as many."""
        if self.chains.shape != chains.shape:
            self.chains, self.contexts = torch.empty_like(chains), torch.empty_like(contexts)
        self.chains.copy_(chains)
        self.contexts.copy_(contexts)
        self.step_size.copy_(step_size)
