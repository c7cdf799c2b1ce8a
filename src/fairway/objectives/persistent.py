"""Persistent contrastive divergence: the likelihood's gradient, with the model's half drawn by chains that never stop.

    d/dtheta E_data[log p(u)] = E_data[d f(u)] - E_p[d f(u)]         f = log p + log Z, nats

The second mean is taken over K persistent chains: each step picks B of them, moves them a few steps under the present
f, lowers f where they stand, and writes them back to where they came from (Tieleman 2008; with Langevin moves, Du &
Mordatch 2019). Chains are born from the reference N(0, I), and a small share of those picked is born again, so the way
from noise to the data stays open and no chain is a copy of a training row. The loss

    C = -arctan(gap) + penalty E[f^2] / D,     gap = (E_data[f] - E_chains[f]) / D, nats per entry

has the likelihood's gradient where the gap is near 0, as it is while the chains keep up; not its value: C near 0 says
that f cannot tell chains from data, nothing more. Without the arctan a lead of the data feeds itself: a sharper f
shortens the chains' steps, so they fall further behind. The penalty holds the level of f, which is free, and its size.
A kernel with a Metropolis test is told a step size that keeps its acceptance near 0.7, since f sharpens as it learns.
All memory (chains, their contexts, the step size) is a buffer: saved and resumed.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor

from fairway.core.capability import HasEnergy, HasScore
from fairway.core.numerics import expand_as_rows
from fairway.core.objective import Batch, Loss, Objective, Optimisation, Phase
from fairway.core.random import Rows
from fairway.networks.joined import joined
from fairway.samplers.driver import Fixed, Run
from fairway.samplers.kernel import Kernel
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import frozen
from fairway.samplers.target import Target


class PersistentContrastiveDivergence(Objective):
    """f up on data, down on persistent chains.

    A model that has `_keep(chains, contexts, step size)` is handed them at every step, to be drawn from on its own.

    Args:
        chains: K, chains in memory.
        steps: moves of the picked chains per step of training.
        reborn: share of the picked chains that start again from N(0, I).
        penalty: weight of the mean square of f.
        kernel: how chains move; None for Langevin with a Metropolis test, which is temperature 1.
    """

    requires = (HasEnergy, HasScore)
    monitor = "sliced_wasserstein"
    optimisation = Optimisation(lr=3e-3, betas=(0.5, 0.999), ema=0.99)
    batch_size = 64
    traceable = False  # chains move by gradients of their own
    wanted_acceptance: ClassVar[float] = 0.7
    rate: ClassVar[float] = 0.1  # of the step size's adaptation, per step of training
    chains: Tensor
    contexts: Tensor
    born: Tensor
    step_size: Tensor

    def __init__(
        self,
        chains: int = 1024,
        steps: int = 5,
        reborn: float = 0.01,
        penalty: float = 0.003,
        kernel: Kernel | None = None,
    ) -> None:
        super().__init__()
        if chains < 1 or steps < 1 or not 0 <= reborn <= 1:
            raise ValueError(f"expected chains >= 1, steps >= 1, reborn in [0, 1]; got {chains}, {steps}, {reborn}")
        self.size, self.driver, self.reborn, self.penalty = chains, Fixed(steps, warmup=0), reborn, penalty
        self.kernel = kernel or Langevin(metropolis=True)

    def setup(self, model: Any) -> None:
        event, context = model.model_event, model.context_preprocess
        width = 0 if context is None else context.model_event.dims
        self.register_buffer("chains", torch.zeros(self.size, *(s or 1 for s in event.shape)))
        self.register_buffer("contexts", torch.zeros(self.size, width))
        self.register_buffer("born", torch.zeros(self.size, dtype=torch.bool))
        self.register_buffer("step_size", torch.tensor(float(getattr(self.kernel, "step_size", 0.05))))

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        run, contexts = self._advance(batch, model, generator)
        both = torch.cat([batch.u, run.state.u])
        given = None if batch.context is None else torch.cat([batch.context, contexts.reshape(batch.context.shape)])
        real, fake = model._log_unnorm(both, given).tensor_split([len(batch)])
        gap, dims = generator.in_step(batch.mean(real) - fake.mean()), model.model_event.dims
        square = generator.in_step(0.5 * (batch.mean(real.square()) + fake.square().mean()))
        terms = {"energy_gap": gap / dims, "energy_size": square.sqrt() / dims, "step_size": self.step_size.clone()}
        if self.kernel.wanted_acceptance is not None:
            terms["acceptance"] = run.acceptance.mean()
        return Loss(self.penalty * square / dims - torch.atan(gap / dims), terms)

    @torch.no_grad()
    def _advance(self, batch: Batch, model: Any, rows: Rows) -> tuple[Run, Tensor]:
        """Pick as many chains as the batch has rows, move them, write them back; returns the run and their contexts.

        Processes that share a batch pick for all of it, move the chains of their own rows, and all remember them all.
        """
        picked = self._picked(rows.batch, rows).to(self.chains.device)
        u, contexts = self._starts(rows.share(picked), batch, rows)
        given = None if batch.context is None else contexts.reshape(batch.context.shape)
        with frozen(model):
            target = Target.of(model, given)
            run = self.driver.run(self.kernel, target, u, rows.spawn(2), step=self.step_size)
        self.chains[picked], self.contexts[picked] = rows.gathered(run.state.u), rows.gathered(contexts)
        self.born[picked] = True
        if self.kernel.wanted_acceptance is not None:
            acceptance = rows.in_step(run.acceptance.mean())
            self.step_size.mul_((self.rate * (acceptance - self.wanted_acceptance)).exp())
        if hasattr(model, "_keep"):
            model._keep(self.chains, self.contexts, self.step_size)
        return run, contexts

    def _picked(self, n: int, rows: Rows) -> Tensor:
        """n chains, each at most once while there are enough."""
        rounds = -(-n // self.size)
        order = [torch.randperm(self.size, generator=rows.shared(k)) for k in range(rounds)]
        return torch.cat(order)[:n]

    def _starts(self, index: Tensor, batch: Batch, rows: Rows) -> tuple[Tensor, Tensor]:
        """Where the picked chains stand, and their contexts; a chain born now takes the context of the batch's row."""
        new = ~self.born[index] | (rows.spawn(0).uniform() < self.reborn)
        own = joined(batch.context) if batch.context is not None else self.contexts[index]
        u = torch.where(expand_as_rows(new, batch.u), rows.spawn(1).normal(*batch.u.shape[1:]), self.chains[index])
        return u, torch.where(new.unsqueeze(1), own, self.contexts[index])
