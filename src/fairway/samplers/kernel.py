"""How chains move: a kernel is `init` and `step`, pure, over a leading axis of chains.

    init(target, u) -> State          step(target, state, noise) -> State, Info

A kernel leaves p invariant: u ~ p implies step(u) ~ p, exactly with a Metropolis test and up to the step size without.
The noise is an argument: the kernel names its sources (`noise`), the driver draws them, so that a step is a function
that can be tested, compiled and repeated. The state carries log p(u) and its gradient, so that a step of Langevin
dynamics costs one gradient and L leapfrog steps cost L.

A Metropolis test takes a proposal with probability min(1, exp(log ratio)); a proposal of density zero or not a number
is refused, so a chain never leaves the support.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasScore
from fairway.core.config import Configurable
from fairway.core.event import Event
from fairway.core.numerics import expand_as_rows
from fairway.core.sampler import Sampler
from fairway.samplers.target import Target

if TYPE_CHECKING:
    from fairway.samplers.adaptation import Adaptation

Noise = dict[str, Tensor]


@dataclass(frozen=True)
class State:
    """Chains: u (B, *U), log p(u) (B,), its gradient (B, *U), and the step size of each chain (B,).

    `scale` is the unit of each entry, (1, *U) or a scalar, for kernels that move in units of their own; or a matrix
    (D, D) whose columns are those units, for points of shape (D,).
    """

    u: Tensor
    value: Tensor
    grad: Tensor
    step: Tensor
    scale: Tensor = field(default_factory=lambda: torch.ones(()))


@dataclass(frozen=True)
class Info:
    """What a step says of itself.

    Args:
        acceptance: (B,) probability that the move was taken (1 without a test).
        divergent: (B,) where the energy error was too large to follow the density; None where there is no such thing.
        gradients: gradients (or values) asked for, mean over chains.
        proposal, momentum: where a trajectory ended, for whoever adapts its length.
    """

    acceptance: Tensor
    divergent: Tensor | None = None
    gradients: float = 1.0
    proposal: Tensor | None = None
    momentum: Tensor | None = None


class Kernel(Configurable, ABC):
    """One move of every chain."""

    role: ClassVar[str] = "sampler"
    coupled: ClassVar[bool] = False  # adapts over all chains together, so draws depend on their number
    static: ClassVar[bool] = True  # the same operations at every step, whatever the noise
    step_size: float = 1.0  # where adaptation starts
    gradients: float = 1.0  # of one step, where `static`
    wanted_acceptance: float | None = None  # None: nothing to adapt
    effective_temperature: float = 1.0

    @property
    def requires(self) -> tuple[type[Capability], ...]:
        """Capabilities of the model that this kernel asks."""
        return (HasScore,)

    @abstractmethod
    def noise(self, target: Target) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The noise of one step: name -> (law, shape per chain); the law is "normal", "uniform" or "common", which is
        one uniform number for all chains."""

    @abstractmethod
    def init(self, target: Target, u: Tensor) -> State:
        """The state of chains that stand at u."""

    @abstractmethod
    def step(self, target: Target, state: State, noise: Noise) -> tuple[State, Info]:
        """One move."""

    def lay_out(self, u: Tensor) -> Tensor:
        """u (B, ...) as it should lie in memory (a compiled kernel wants the chains last)."""
        return u

    def adaptation(self, state: State, steps: int) -> "Adaptation | None":
        """What a warm-up of so many steps adapts: the step size of each chain, towards the acceptance wanted."""
        from fairway.samplers.adaptation import PerChain

        return None if self.wanted_acceptance is None else PerChain(state, self.wanted_acceptance)

    def as_sampler(self) -> Sampler:
        """n independent chains under the default driver."""
        from fairway.samplers.mcmc import MCMC

        return MCMC(self)


def shape_of(event: Event) -> tuple[int, ...]:
    """The shape of one point; a variable length counts as 1."""
    return tuple(s or 1 for s in event.shape)


def start_state(kernel: Kernel, target: Target, u: Tensor) -> State:
    """Chains at u with the kernel's own step size, and units of 1."""
    value, grad = target.value_and_grad(u)
    return State(u, value, grad, u.new_full((len(u),), kernel.step_size), u.new_ones(()))


StateT = TypeVar("StateT", bound=State)


def accept(state: StateT, moved: Tensor, **proposal: Tensor) -> StateT:
    """The state where chains that `moved` (B,) have taken the fields of the proposal."""
    kept: dict[str, Any] = {}
    for name, value in proposal.items():
        kept[name] = torch.where(expand_as_rows(moved, value), value, getattr(state, name))
    return replace(state, **kept)


def probability(log_ratio: Tensor) -> Tensor:
    """min(1, exp(log ratio)) (B,), 0 where it is not a number."""
    return torch.nan_to_num(log_ratio, nan=-math.inf).clamp(max=0.0).exp()
