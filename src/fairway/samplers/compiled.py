"""A kernel whose step is compiled: for long runs of many chains on a small target.

Eager steps on tiny tensors are spent on launching operations. `torch.compile` fuses the whole step of a kernel whose
operations do not depend on the noise (`static`: Langevin, random walk, HMC with a fixed number of leapfrogs), draws of
different steps staying apart; of other kernels (NUTS, HMC of random length) it fuses the log density with its gradient.
Chains lie last in memory, so that the inner loop runs over chains and fills vector registers, however few entries *U
has. Results differ from eager ones by rounding.

Compiling takes seconds, once per target: it pays after thousands of steps under `Fixed` or `Long`. Drivers that change
the target at every temperature compile it anew until torch gives up and runs it eagerly. Without a C++ compiler
the kernel runs eagerly and says so once.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import Capability
from fairway.core.compiler import cannot_compile
from fairway.samplers.adaptation import Adaptation
from fairway.samplers.kernel import Info, Kernel, Noise, State
from fairway.samplers.target import Target


class Compiled(Kernel):
    """The same kernel, faster after a while.

    Args:
        kernel: any kernel.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.coupled, self.static = kernel.coupled, kernel.static  # type: ignore[misc]
        self.step_size, self.wanted_acceptance = kernel.step_size, kernel.wanted_acceptance
        self.effective_temperature = kernel.effective_temperature
        self._bound: tuple[Target, Callable[..., Any]] | None = None

    @property
    def requires(self) -> tuple[type[Capability], ...]:
        return self.kernel.requires

    def noise(self, target: Target) -> dict[str, tuple[str, tuple[int, ...]]]:
        return self.kernel.noise(target)

    def lay_out(self, u: Tensor) -> Tensor:
        return u.movedim(0, -1).contiguous().movedim(-1, 0)

    def init(self, target: Target, u: Tensor) -> State:
        return self.kernel.init(target, u)

    def adaptation(self, state: State, steps: int) -> Adaptation | None:
        return self.kernel.adaptation(state, steps)

    def step(self, target: Target, state: State, noise: Noise) -> tuple[State, Info]:
        if self._bound is None or self._bound[0] is not target:
            self._bound = target, self._compile(target, type(state))
        if not self.static:
            return self.kernel.step(self._bound[1](), state, noise)
        moved, info = self._bound[1](_values(state), noise)
        return type(state)(*moved), Info(info[0], info[1], self.kernel.gradients)

    def _compile(self, target: Target, kind: type[State]) -> Callable[..., Any]:
        if not self.static:
            faster = with_gradient(target)
            return lambda: faster

        def move(values: list[Tensor], noise: Noise) -> tuple[list[Tensor], tuple[Any, ...]]:
            state, info = self.kernel.step(target, kind(*values), noise)
            return _values(state), (info.acceptance, info.divergent)  # a fixed length needs no more to adapt

        return compiled(move)


@dataclass(frozen=True)
class _WithGradient(Target):
    """A target whose value and gradient, as the target itself gives them, are one compiled function."""

    of: Target = None  # type: ignore[assignment]
    ask: Callable[[Tensor], tuple[Tensor, Tensor]] = None  # type: ignore[assignment]

    def value(self, u: Tensor) -> Tensor:
        return self.of.value(u)

    def value_and_grad(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return self.ask(u)

    def chains(self, index: Tensor) -> Target:
        part = self.of.chains(index)
        return self if part is self.of else part


def with_gradient(target: Target) -> Target:
    """The same target, with its value and gradient compiled."""
    known: dict[str, Any] = {f.name: getattr(target, f.name) for f in fields(Target)}
    return _WithGradient(**known, of=target, ask=compiled(target.value_and_grad))


def _values(state: State) -> list[Tensor]:
    return [getattr(state, f.name) for f in fields(state)]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`torch.compile`, or the function itself (with a warning) where there is no compiler."""
    reason = cannot_compile()
    if reason:
        warnings.warn(f"{reason}: the kernel runs eagerly", stacklevel=3)
        return function
    return torch.compile(function, dynamic=False)  # a kernel for each number of chains is much faster than one for all
