"""Langevin dynamics: climb the score, with enough noise not to stay at the top.

    u' = u + a grad log p(u) + s e,   e ~ N(0, I);      a = step / 2,  s = sqrt(step)

is the Euler step of du = grad log p dt / 2 + dW, which leaves p invariant up to O(step): on N(0, 1) the variance is
1 / (1 - step / 4) instead of 1. A Metropolis test (MALA; Roberts & Tweedie 1996) removes the bias: accept u' with
probability min(1, p(u') q(u | u') / (p(u) q(u' | u))), q(u' | u) = N(u'; u + a grad, s^2 I).

A noise s smaller than sqrt(step) is common for energy models of images (Nijkamp et al. 2019). It draws from another
distribution, p^(1/T) with the effective temperature T = s^2 / (2 a): every run reports T, and the kernel warns unless
T = 1. Model units.
"""

import math
import warnings

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasEnergy, HasScore
from fairway.core.numerics import event_sum, expand_as_rows
from fairway.samplers.kernel import Info, Kernel, Noise, State, accept, probability, shape_of
from fairway.samplers.target import Target


class Langevin(Kernel):
    """Langevin dynamics, with or without the Metropolis test.

    Args:
        step: step size (with the test: where its adaptation starts).
        metropolis: test each move; exact, and adapts the step size to an acceptance of 0.574.
        noise: standard deviation of a step's noise, None for sqrt(step), which is temperature 1.
        clip: largest norm of a chain's gradient, None for no limit; keeps chains in bounds early in a training.
    """

    def __init__(
        self, step: float = 0.05, metropolis: bool = False, noise: float | None = None, clip: float | None = None
    ) -> None:
        if step <= 0:
            raise ValueError(f"expected a positive step, got {step}")
        if metropolis and (noise is not None or clip is not None):
            raise ValueError("expected no noise and no clip with metropolis=True: the test needs the exact proposal")
        self.step_size, self.metropolis, self.clip = step, metropolis, clip
        self.noise_ratio = 1.0 if noise is None else noise / math.sqrt(step)
        self.wanted_acceptance = 0.574 if metropolis else None
        self.effective_temperature = self.noise_ratio**2
        warn_unless_one(self.effective_temperature, f"Langevin(step={step}, noise={noise})")

    @property
    def requires(self) -> tuple[type[Capability], ...]:
        return (HasEnergy, HasScore) if self.metropolis else (HasScore,)

    def noise(self, target: Target) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {"move": ("normal", shape_of(target.event)), **({"accept": ("uniform", ())} if self.metropolis else {})}

    def init(self, target: Target, u: Tensor) -> State:
        value, grad = target.value_and_grad(u)
        return State(u, value, self._clipped(grad), u.new_full((len(u),), self.step_size))

    def step(self, target: Target, state: State, noise: Noise) -> tuple[State, Info]:
        h = expand_as_rows(state.step, state.u)
        u = state.u + h / 2 * state.grad + h.sqrt() * self.noise_ratio * noise["move"]
        value, grad = target.value_and_grad(u)
        proposal = State(u, value, self._clipped(grad), state.step)
        if not self.metropolis:
            return proposal, Info(torch.ones_like(state.step))
        log_ratio = value - state.value + _log_move(proposal, state) - _log_move(state, proposal)
        chance = probability(log_ratio)
        return accept(state, noise["accept"] < chance, u=u, value=value, grad=grad), Info(chance)

    def _clipped(self, grad: Tensor) -> Tensor:
        if self.clip is None:
            return grad
        norm = grad.flatten(1).norm(dim=1)
        return grad * expand_as_rows((self.clip / norm.clamp(min=1e-12)).clamp(max=1.0), grad)


def warn_unless_one(temperature: float, kernel: str) -> None:
    """A kernel whose noise does not fit its gradient draws from p^(1/T): legitimate, but not what most mean."""
    if abs(temperature - 1) > 1e-9:
        warnings.warn(
            f"{kernel} draws at temperature {temperature:.3g}, not from the model itself; noise=None is temperature 1",
            stacklevel=3,
        )


def _log_move(start: State, end: State) -> Tensor:
    """log q(end | start) (B,), up to what cancels in the ratio."""
    h = expand_as_rows(start.step, start.u)
    return -event_sum((end.u - start.u - h / 2 * start.grad).square()) / (2 * start.step)
