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
from fairway.samplers.independence import jumped
from fairway.samplers.kernel import Kernel


class PersistentContrastiveDivergence(EnergyContrast):
    """f up on data, down on persistent chains.

    Args:
        chains: K, chains in memory.
        steps: moves of the picked chains per step of training.
        reborn: share of the picked chains that start again from the reference.
        jumps: draws of the reference offered to every picked chain (`samplers.independence`), where the model has one.
        penalty, kernel: as for `EnergyContrast`.
    """

    chains: Tensor
    contexts: Tensor
    born: Tensor

    def __init__(
        self,
        chains: int = 1024,
        steps: int = 5,
        reborn: float = 0.01,
        jumps: int = 1,
        penalty: float = 0.003,
        kernel: Kernel | None = None,
    ) -> None:
        super().__init__(steps, penalty, kernel)
        if chains < 1 or jumps < 0 or not 0 <= reborn <= 1:
            raise ValueError(f"expected chains >= 1, jumps >= 0, reborn in [0, 1]; got {chains}, {jumps}, {reborn}")
        self.size, self.reborn, self.jumps = chains, reborn, jumps

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
        u, jumps = self._jumped(batch, model, u, contexts, rows.spawn(3))
        run = self._moved(batch, model, u, contexts, rows.spawn(2))
        run.info |= jumps
        self.chains[picked] = rows.gathered(run.state.u).to(self.chains.dtype)
        self.contexts[picked] = rows.gathered(contexts)
        self.born[picked] = True
        if hasattr(model, "_keep"):
            model._keep(self.chains, self.contexts, self.step_size)
        return run, contexts

    def _jumped(
        self, batch: Batch, model: Any, u: Tensor, contexts: Tensor, rows: Rows
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Chains offered draws of the reference, and the share that took one; nothing where there is no reference."""
        if not hasattr(model, "_tilt") or not self.jumps:
            return u, {}
        given = None if batch.context is None else contexts.reshape(batch.context.shape)
        both = None if given is None else torch.cat([given, given])
        taken = []
        for k in range(self.jumps):
            proposed = births(model, rows.spawn(2 * k))
            u, moved = jumped(lambda pair: model._tilt(pair, both), u, proposed, rows.spawn(2 * k + 1))
            taken.append(moved.float().mean())
        return u, {"jumps": torch.stack(taken).mean()}

    def _picked(self, n: int, rows: Rows) -> Tensor:
        """n chains, each at most once while there are enough."""
        rounds = -(-n // self.size)
        order = [torch.randperm(self.size, generator=rows.shared(k)) for k in range(rounds)]
        return torch.cat(order)[:n]

    def _starts(self, index: Tensor, batch: Batch, model: Any, rows: Rows) -> tuple[Tensor, Tensor]:
        """Where the picked chains stand, and their contexts; a chain born now takes the context of the batch's row."""
        new = ~self.born[index] | (rows.spawn(0).uniform() < self.reborn)
        own = contexts_of(batch) if batch.context is not None else self.contexts[index]
        fresh = births(model, rows.spawn(1))
        u = torch.where(expand_as_rows(new, fresh), fresh, self.chains[index].to(fresh.dtype))
        return u, torch.where(new.unsqueeze(1), own, self.contexts[index])
