"""Underdamped Langevin dynamics by BAOAB: a particle with momentum, friction and a heat bath.

    du = p dt,   dp = grad log pi(u) dt - gamma p dt + sqrt(2 gamma) dW;      law pi(u) N(p; 0, I)

One step of length dt splits it: B half a kick, A half a drift, O the exact bath p <- c p + s e with c = exp(-gamma dt)
and s = sqrt(1 - c^2), A, B (Leimkuhler & Matthews 2013). One gradient a step, carried over. There is no Metropolis
test: the law of u is wrong by O(dt^2), where unadjusted overdamped Langevin is wrong by O(step); on a Gaussian the
positions are exact for any stable dt. The temperature is s^2 / (1 - e^(-2 gamma dt)) at unit mass; the kernel reports
it, and warns unless it is 1. Model units.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fairway.core.numerics import expand_as_rows
from fairway.samplers.kernel import Info, Kernel, Noise, State, shape_of, start_state
from fairway.samplers.langevin import warn_unless_one
from fairway.samplers.target import Target


@dataclass(frozen=True)
class Moving(State):
    """Chains with a momentum (B, *U)."""

    momentum: Tensor = None  # type: ignore[assignment]


class Underdamped(Kernel):
    """BAOAB.

    Args:
        step: dt.
        friction: gamma; about 1 over the time that a momentum should last.
        noise: standard deviation s of the bath's noise, None for temperature 1.
    """

    def __init__(self, step: float = 0.2, friction: float = 1.0, noise: float | None = None) -> None:
        if step <= 0 or friction <= 0:
            raise ValueError(f"expected a positive step and friction, got step={step}, friction={friction}")
        self.step_size, self.friction = step, friction
        own = -math.expm1(-2 * friction * step)
        self.effective_temperature = 1.0 if noise is None else noise**2 / own
        warn_unless_one(self.effective_temperature, f"Underdamped(step={step}, friction={friction}, noise={noise})")

    def noise(self, target: Target) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {"bath": ("normal", shape_of(target.event))}

    def init(self, target: Target, u: Tensor) -> Moving:
        """Chains at rest; the bath fills them within a time of about 1 / friction."""
        at = start_state(self, target, u)
        return Moving(at.u, at.value, at.grad, at.step, at.scale, torch.zeros_like(u))

    def step(self, target: Target, state: State, noise: Noise) -> tuple[State, Info]:
        assert isinstance(state, Moving)
        dt = expand_as_rows(state.step, state.u)
        keep = torch.exp(-self.friction * dt)
        p = state.momentum + dt / 2 * state.grad
        middle = state.u + dt / 2 * p
        p = keep * p + (self.effective_temperature * (1 - keep.square())).sqrt() * noise["bath"]
        u = middle + dt / 2 * p
        value, grad = target.value_and_grad(u)
        p = p + dt / 2 * grad
        return Moving(u, value, grad, state.step, state.scale, p), Info(torch.ones_like(state.step))
