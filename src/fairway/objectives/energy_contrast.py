"""The likelihood's gradient of an energy model, with the model's half drawn by chains.

    d/dtheta E_data[log p(u)] = E_data[d f(u)] - E_p[d f(u)]         f = log p + log Z, nats; Z has left

since d log Z = E_p[d f]. Where the chains for the second mean come from is what tells three principles apart:

    persistent                 they never stop, and are written back to where they came from     (Tieleman 2008)
    contrastive_divergence     k moves from the data: short, cheap and biased                    (Hinton 2002)
    mle_mcmc                   from noise anew at every step: dear, biased by what they miss     (Nijkamp et al. 2019)

The loss is the same for all of them,

    C = -arctan(gap) + penalty E[f^2] / D,     gap = (E_data[f] - E_chains[f]) / D, nats per entry.

It has the likelihood's gradient where the gap is near 0, as it is while the chains keep up; not its value: C near 0
says that f cannot tell chains from data, nothing more. Without the arctan a lead of the data feeds itself: a sharper f
shortens the chains' steps, so they fall further behind. The penalty holds the level of f, which is free, and its size.
A kernel with a Metropolis test is told a step size that keeps its acceptance near 0.7, since f sharpens as it learns.

Pixels that are all but constant make a density that chains cannot follow. With `noise` s a model learns the data's law
after N(0, s^2) noise, which is smooth; E[data | u] = u + s^2 grad log p(u) takes the noise off a draw again (Tweedie's
formula, Robbins 1956; the practice is that of Saremi & Hyvaerinen 2019, Neural Empirical Bayes).
"""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from fairway.core.capability import HasEnergy, require
from fairway.core.objective import Batch, Loss, Objective, Optimisation, Phase
from fairway.core.random import Rows
from fairway.networks.joined import joined
from fairway.samplers.compiled import Compiled
from fairway.samplers.driver import Fixed, Run
from fairway.samplers.fused import Fused
from fairway.samplers.independence import jumped
from fairway.samplers.kernel import Kernel
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import frozen
from fairway.samplers.target import Target

LOST = 50.0  # nats per entry between data and chains: no chain comes back from there
STUCK = 0.1  # acceptance below which chains hardly move


class EnergyContrast(Objective):
    """f up on data, down on chains. A model that has `_keep(chains, contexts, step size)` is handed them.

    Args:
        steps: moves of a chain per step of training.
        penalty: weight of the mean square of f.
        kernel: how chains move; None for Langevin with a Metropolis test, which is temperature 1. `Compiled(kernel)`
            makes all moves of a step one compiled function: it pays from a few thousand steps on.
        noise: standard deviation of noise on the data, model units.
        jumps: draws of the reference offered to every chain before it moves (`samplers.independence`).

    Raises:
        CapabilityError: a model without an energy, or without what the kernel asks (a gradient, for Langevin moves:
            discrete data have none, take kernel=Gibbs()).
    """

    requires = (HasEnergy,)
    monitor = None  # draws to compare would cost more than the training; `lost` and the health in the log watch it
    optimisation = Optimisation(lr=1.5e-3, betas=(0.5, 0.999), ema=0.99)
    batch_size = 128
    traceable = False  # chains move by gradients of their own
    wanted_acceptance: ClassVar[float] = 0.7
    rate: ClassVar[float] = 0.1  # of the step size's adaptation, per step of training
    step_size: Tensor

    def __init__(self, steps: int, penalty: float, kernel: Kernel | None, noise: float, jumps: int) -> None:
        super().__init__()
        if steps < 1 or min(penalty, noise, jumps) < 0:
            raise ValueError(
                f"expected steps >= 1 and penalty, noise, jumps >= 0; got {steps}, {penalty}, {noise}, {jumps}"
            )
        self.penalty, self.noise, self.jumps = penalty, noise, jumps
        fused = isinstance(kernel, Compiled) and kernel.static
        self.kernel: Kernel = kernel.kernel if fused else kernel or Langevin(metropolis=True)  # type: ignore[union-attr]
        self.driver = Fused(steps) if fused else Fixed(steps, warmup=0)

    def check(self, model: Any) -> None:
        super().check(model)
        require(model, self.kernel.requires, f"the objective {self.name()} with chains by {self.kernel.name()}")

    def setup(self, model: Any) -> None:
        self.register_buffer("step_size", torch.tensor(float(getattr(self.kernel, "step_size", 0.05))))

    @abstractmethod
    def _chains(self, batch: Batch, model: Any, rows: Rows) -> tuple[Run, Tensor]:
        """A finished run of as many chains as the batch has rows, and their contexts (B, C) side by side."""

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        if self.noise:
            batch = replace(batch, u=batch.u + self.noise * generator.spawn(4).normal(*batch.u.shape[1:]))
        with torch.no_grad():
            run, contexts = self._chains(batch, model, generator)
        both = torch.cat([batch.u, run.state.u.to(batch.u.dtype)])
        given = None if batch.context is None else torch.cat([batch.context, contexts.reshape(batch.context.shape)])
        tilt, log_q = _parts(model, both, given)
        dims = model.model_event.dims
        real, fake = _means(batch, tilt + log_q)
        gap = generator.in_step(real - fake) / dims
        square = generator.in_step(_means(batch, tilt.square()).mean())
        terms = {"energy_gap": gap, "energy_size": square.detach().sqrt() / dims, "step_size": self.step_size.clone()}
        if self.kernel.wanted_acceptance is not None:
            terms["acceptance"] = run.acceptance.mean()
        terms |= {name: value for name, value in run.info.items() if name == "jumps"}
        return Loss((self.penalty / dims) * square - torch.atan(gap), terms)

    def _moved(self, batch: Batch, model: Any, u: Tensor, contexts: Tensor, rows: Rows) -> Run:
        """Chains at u (B, *U) after jumps and `steps` moves; the step size learns from their acceptance."""
        given = None if batch.context is None else contexts.reshape(batch.context.shape)
        u, taken = self._jumped(model, u, given, rows.spawn(3))
        with frozen(model):
            if isinstance(self.driver, Fused) and given is None:
                run = self.driver.run_model(self.kernel, model, u, rows.spawn(2), self.step_size)
            else:
                run = self.driver.run(self.kernel, Target.of(model, given), u, rows.spawn(2), step=self.step_size)
        run.info |= taken
        if self.kernel.wanted_acceptance is not None:
            acceptance = rows.in_step(run.acceptance.mean())
            self.step_size.mul_((self.rate * (acceptance - self.wanted_acceptance)).exp())
        return run

    def _jumped(self, model: Any, u: Tensor, given: Tensor | None, rows: Rows) -> tuple[Tensor, dict[str, Tensor]]:
        """Chains offered draws of the reference, and the share that took one; nothing where there is no reference."""
        if not hasattr(model, "_tilt") or not self.jumps:
            return u, {}
        both = None if given is None else torch.cat([given, given])
        taken = []
        for k in range(self.jumps):
            proposed = births(model, rows.spawn(2 * k))
            u, moved = jumped(lambda pair: model._tilt(pair, both), u, proposed, rows.spawn(2 * k + 1))
            taken.append(moved.float().mean())
        return u, {"jumps": torch.stack(taken).mean()}

    def diagnose(self, means: dict[str, float]) -> str | None:
        if means.get("acceptance", 1.0) < STUCK:
            return (
                f"the chains accept {means['acceptance']:.0%} of their moves, so they stand still: try a larger "
                "penalty, a smaller learning rate, or a kernel with a smaller step"
            )
        return None

    def lost(self, means: dict[str, float]) -> str | None:
        gap = means.get("energy_gap", 0.0)
        if abs(gap) <= LOST:
            return None
        return (
            f"energy_gap is {gap:.3g} nats per entry, so the chains are lost although the loss is finite: take a "
            "larger penalty, a smaller learning rate, or more moves"
        )


def _parts(model: Any, u: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """f (B,), which learns and is penalised, and log q (B,), which is fixed; all of log p is f where there is no q."""
    if not hasattr(model, "_tilt"):
        f: Tensor = model._log_unnorm(u, context)
        return f, torch.zeros_like(f)
    with torch.no_grad():
        log_q = model._log_reference(u)
    return model._tilt(u, context), log_q


def _means(batch: Batch, both: Tensor) -> Tensor:
    """(2,): means over data, weighted, and over as many chains, of (2 B,)."""
    pairs = both.view(2, -1)
    return pairs.mean(1) if batch.weight is None else torch.stack([batch.mean(pairs[0]), pairs[1].mean()])


def births(model: Any, rows: Rows) -> Tensor:
    """Where chains are born, one per row: at the model's reference (`_births`), else at N(0, I) or uniform levels."""
    if hasattr(model, "_births"):
        born: Tensor = model._births(rows)
        return born
    return Target(None, lambda u: u, event=model.model_event).starts(rows)


def contexts_of(batch: Batch) -> Tensor:
    """(B, C) side by side, C = 0 without any."""
    return batch.u.new_zeros(len(batch), 0) if batch.context is None else joined(batch.context)
