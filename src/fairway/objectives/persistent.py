"""Persistent contrastive divergence: the likelihood's gradient, with the model's half drawn by chains that never stop.

    d/dtheta E_data[log p(u)] = E_data[d f(u)] - E_p[d f(u)]         f = log p + log Z, nats

The second mean is taken over K persistent chains: each step picks B of them, moves them a few steps under the present
f, lowers f where they stand, and writes them back to where they came from (Tieleman 2008; with Langevin moves, Du &
Mordatch 2019). Chains are born from the model's reference, and a small share of those picked is born again, so the way
from noise to the data stays open and no chain is a copy of a training row. The loss and what keeps it stable are those
of `energy_contrast`. All memory (chains, their contexts, the step size) is a buffer: saved and resumed.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.numerics import expand_as_rows
from fairway.core.objective import Batch
from fairway.core.random import Rows
from fairway.objectives.energy_contrast import EnergyContrast, births, contexts_of
from fairway.samplers.driver import Run
from fairway.samplers.kernel import Kernel


class PersistentContrastiveDivergence(EnergyContrast):
    """f up on data, down on persistent chains.

    Args:
        chains: K, chains in memory.
        steps: moves of the picked chains per step of training.
        reborn: share of the picked chains that start again from the reference.
        penalty, kernel, noise, jumps: as for `EnergyContrast`.
    """

    chains: Tensor
    contexts: Tensor
    born: Tensor

    def __init__(
        self,
        chains: int = 1024,
        steps: int = 5,
        reborn: float = 0.01,
        penalty: float = 0.003,
        kernel: Kernel | None = None,
        noise: float = 0.0,
        jumps: int = 1,
    ) -> None:
        super().__init__(steps, penalty, kernel, noise, jumps)
        if chains < 1 or not 0 <= reborn <= 1:
            raise ValueError(f"expected chains >= 1 and reborn in [0, 1]; got {chains}, {reborn}")
        self.size, self.reborn = chains, reborn

    def setup(self, model: Any) -> None:
        super().setup(model)
        event, context = model.model_event, model.context_preprocess
        width = 0 if context is None else context.model_event.dims
        self.register_buffer("chains", torch.zeros(self.size, *(s or 1 for s in event.shape)))
        self.register_buffer("contexts", torch.zeros(self.size, width))
        self.register_buffer("born", torch.zeros(self.size, dtype=torch.bool))

    def _chains(self, batch: Batch, model: Any, rows: Rows) -> tuple[Run, Tensor]:
        """Pick as many chains as the batch has rows, move them, write them back.

        Processes that share a batch pick for all of it, move the chains of their own rows, and all remember them all.
        """
        picked = self._picked(rows.batch, rows).to(self.chains.device)
        u, contexts = self._starts(rows.share(picked), batch, model, rows)
        run = self._moved(batch, model, u, contexts, rows)
        self.chains[picked] = rows.gathered(run.state.u).to(self.chains.dtype)
        if self.contexts.shape[1]:
            self.contexts[picked] = rows.gathered(contexts)
        self.born[picked] = True
        if hasattr(model, "_keep"):
            model._keep(self.chains, self.contexts, self.step_size)
        return run, contexts

    def _picked(self, n: int, rows: Rows) -> Tensor:
        """n chains, each at most once while there are enough."""
        rounds = -(-n // self.size)
        order = [torch.randperm(self.size, generator=rows.shared(k)) for k in range(rounds)]
        return torch.cat(order)[:n]

    def _starts(self, index: Tensor, batch: Batch, model: Any, rows: Rows) -> tuple[Tensor, Tensor]:
        """Where the picked chains stand, and their contexts; a chain born now takes the context of the batch's row."""
        new = ~self.born[index] | (rows.spawn(0).uniform() < self.reborn)
        fresh = births(model, rows.spawn(1))
        u = torch.where(expand_as_rows(new, fresh), fresh, self.chains[index].to(fresh.dtype))
        own = self.contexts[index]
        return u, own if batch.context is None else torch.where(new.unsqueeze(1), contexts_of(batch), own)
