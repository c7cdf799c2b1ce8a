"""Markov chain Monte Carlo in three roles: what is drawn from, how a chain moves, who runs it.

    Target    u (B, *U) -> log p(u) + const (B,) nats, and its gradient (B, *U)
    Kernel    init(target, u) -> State;   step(target, state, noise) -> State, Info      pure: the noise is an argument
    Driver    run(kernel, target, u, rows): draws the noise, calls the kernel, keeps the books

A kernel leaves p invariant: u ~ p implies step(u) ~ p (exactly with a Metropolis test, up to O(step) without). Chains
are rows: each has its own noise, its own step size and its own acceptance, so a draw does not depend on how the rows
are batched, and n draws are a prefix of n + m. The state carries value and gradient, so that a step costs one gradient.

Step sizes adapt during a warm-up by dual averaging towards the acceptance that the kernel wants and stay fixed after
it, so that what follows is an ordinary chain (Hoffman & Gelman 2014, The No-U-Turn Sampler, section 3.2, with the
learning rate gamma = 0.05, t0 = 10, kappa = 0.75). All quantities are in model units.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasEnergy, HasScore
from fairway.core.config import Configurable
from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Sampler

Noise = dict[str, Tensor]


@dataclass(frozen=True)
class Target:
    """What is drawn from.

    Args:
        log_prob: u (B, *U) -> (B,), up to a constant.
        value_and_grad: u -> log_prob (B,) and its gradient (B, *U); derived from `log_prob` when None.
    """

    log_prob: Callable[[Tensor], Tensor]
    grad: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None

    def value_and_grad(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """log p(u) (B,) and its gradient (B, *U), detached."""
        if self.grad is not None:
            return self.grad(u)
        with torch.enable_grad():
            point = u.detach().requires_grad_()
            value = self.log_prob(point)
            (grad,) = torch.autograd.grad(value.sum(), point)
        return value.detach(), grad

    @classmethod
    def of(cls, model: Any, context: Tensor | None = None) -> "Target":
        """The target of a model: its energy where it has one, else its score alone (the value is then NaN)."""
        if model.supports(HasEnergy, units="model"):
            return cls(lambda u: model._log_unnorm(u, context))

        def unknown(u: Tensor) -> Tensor:
            return u.new_full((len(u),), math.nan)

        return cls(unknown, lambda u: (unknown(u), model._score(u, context).detach()))


@dataclass(frozen=True)
class State:
    """Chains: u (B, *U), log p(u) (B,), its gradient (B, *U), and the step size of each chain (B,)."""

    u: Tensor
    value: Tensor
    grad: Tensor
    step: Tensor


@dataclass(frozen=True)
class Info:
    """What a step says of itself: the acceptance probability (B,) of each chain (1 without a test)."""

    acceptance: Tensor


class Kernel(Configurable, ABC):
    """One move of every chain."""

    role: ClassVar[str] = "sampler"
    evaluations: ClassVar[int] = 1  # gradients per step
    wanted_acceptance: float | None = None  # None: nothing to adapt
    effective_temperature: float = 1.0

    @property
    def requires(self) -> tuple[type[Capability], ...]:
        """Capabilities of the model that this kernel asks."""
        return (HasScore,)

    @abstractmethod
    def noise(self, event: Event) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The noise of one step: name -> (law "normal" | "uniform", shape per chain)."""

    @abstractmethod
    def init(self, target: Target, u: Tensor) -> State:
        """The state of chains that stand at u."""

    @abstractmethod
    def step(self, target: Target, state: State, noise: Noise) -> tuple[State, Info]:
        """One move."""

    def as_sampler(self) -> "MCMC":
        """n independent chains under the default driver."""
        return MCMC(self)


@dataclass
class Run:
    """A finished run: the state, gradients per chain, mean acceptance per chain (B,), states (steps, B, *U)."""

    state: State
    evaluations: int
    acceptance: Tensor
    trace: Tensor | None = None


class Fixed(Configurable):
    """A fixed number of steps.

    Args:
        steps: moves whose last state is the draw.
        warmup: moves before them, in which step sizes adapt (kernels that have nothing to adapt skip it).
    """

    role: ClassVar[str] = "sampler"

    def __init__(self, steps: int = 300, warmup: int = 200) -> None:
        if steps < 1 or warmup < 0:
            raise ValueError(f"expected steps >= 1 and warmup >= 0, got steps={steps}, warmup={warmup}")
        self.steps, self.warmup = steps, warmup

    def run(
        self,
        kernel: Kernel,
        target: Target,
        u: Tensor,
        rows: Rows,
        event: Event,
        step: Tensor | None = None,
        trace: bool = False,
    ) -> Run:
        """Run one chain per row of u (B, *U), from step sizes (B,) or a scalar where they are known already."""
        noises, state = _noises(kernel, event, rows), kernel.init(target, u)
        if step is not None:
            state = replace(state, step=step.expand(len(u)))
        warmup = self.warmup if kernel.wanted_acceptance is not None else 0
        adaptation = Adaptation(state.step, kernel.wanted_acceptance or 1.0)
        for _ in range(warmup):
            state, info = kernel.step(target, state, next(noises))
            state = replace(state, step=adaptation.update(info.acceptance))
        state = replace(state, step=adaptation.final())
        accepted, states = torch.zeros_like(state.value), []
        for _ in range(self.steps):
            state, info = kernel.step(target, state, next(noises))
            accepted = accepted + info.acceptance
            if trace:
                states.append(state.u)
        cost = 1 + kernel.evaluations * (warmup + self.steps)
        return Run(state, cost, accepted / self.steps, torch.stack(states) if trace else None)


class Adaptation:
    """Dual averaging of log step sizes (B,), one per chain."""

    def __init__(self, step: Tensor, wanted: float) -> None:
        self.step, self.wanted, self.centre = step, wanted, (10 * step).log()
        self.error, self.mean, self.count = torch.zeros_like(step), step.log(), 0

    def update(self, acceptance: Tensor) -> Tensor:
        """The step sizes for the next move, after seeing the acceptance (B,) of this one."""
        self.count += 1
        n = self.count
        self.error = self.error + (self.wanted - acceptance - self.error) / (n + 10)
        log_step = self.centre - self.error * n**0.5 / 0.05
        self.mean = self.mean + n**-0.75 * (log_step - self.mean)
        return log_step.exp()

    def final(self) -> Tensor:
        """The averaged step sizes (the ones given, when no move was seen)."""
        return self.mean.exp() if self.count else self.step


def _noises(kernel: Kernel, event: Event, rows: Rows) -> Iterator[Noise]:
    """The noise of one step after the other; each named source is a stream of its own."""
    sources = [
        (name, getattr(rows.spawn(i), law), shape) for i, (name, (law, shape)) in enumerate(kernel.noise(event).items())
    ]
    while True:
        yield {name: draw(*shape) for name, draw, shape in sources}


class MCMC(Sampler):
    """n independent chains, one per sample; the draw is where they end.

    Chains start at `init`, else where the model says (`_chains`, an energy model's persistent chains), else at N(0, I).

    Args:
        kernel: how a chain moves.
        driver: who runs it.
    """

    def __init__(self, kernel: Kernel, driver: Fixed | None = None) -> None:
        self.kernel, self.driver = kernel, driver or Fixed()
        self.requires = kernel.requires  # type: ignore[misc]

    def run(
        self,
        model: Any,
        n: int,
        *,
        context: Tensor | None,
        generator: Rows,
        init: Tensor | None = None,
        trace: bool = False,
    ) -> Draws:
        """As `Sampler.run`; `trace` keeps the states after warm-up, (steps, n, *U)."""
        event = model.model_event
        u = self._start(model, context, generator.spawn(0)) if init is None else init
        with frozen(model):
            run = self.driver.run(self.kernel, Target.of(model, context), u, generator.spawn(1), event, trace=trace)
        return Draws(
            run.state.u,
            float(run.evaluations),
            acceptance=float(run.acceptance.mean()) if self.kernel.wanted_acceptance is not None else None,
            effective_temperature=self.kernel.effective_temperature,
            trace=run.trace,
        )

    def _start(self, model: Any, context: Tensor | None, rows: Rows) -> Tensor:
        if hasattr(model, "_chains"):
            chains: Tensor = model._chains(context, rows)
            return chains
        return rows.normal(*model.model_event.shape)


@contextmanager
def frozen(module: torch.nn.Module) -> Iterator[None]:
    """Parameters take no gradient inside: a chain differentiates with respect to its position alone."""
    moving = [p for p in module.parameters() if p.requires_grad]
    try:
        for p in moving:
            p.requires_grad_(False)
        yield
    finally:
        for p in moving:
            p.requires_grad_(True)
