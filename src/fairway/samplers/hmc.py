"""Hamiltonian Monte Carlo: give each chain a momentum, let it roll, and test the energy at the end.

    H(u, p) = -log pi(u) + |p|^2 / 2,    p ~ N(0, I) afresh at every step

    leapfrog, L times:   p += e/2 grad log pi(u);   u += e p;   p += e/2 grad log pi(u)

The leapfrog map is reversible (negate p and it runs back) and keeps volume, so min(1, exp(H(u, p) - H(u', p'))) is the
right Metropolis test (Duane et al. 1987; Neal 2011); the energy error is O(e^2) over a trajectory of fixed length. The
momentum lives in units S of the state (`scale`: one per entry, or a matrix), u' = S p and p' = S^T grad log pi, which
is the same as a mass matrix (S S^T)^-1. The length of a trajectory is
drawn anew for every step (the same for all chains), because a fixed one can come back to where it started.

A warm-up adapts, over all chains together, the step size, the scale and (unless `leapfrogs` is given) the length, by
ChEES (Hoffman, Radul & Sountsov 2021); see `adaptation`. What follows has them fixed. Cost: L gradients. Model units.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasEnergy, HasScore
from fairway.core.numerics import event_sum, expand_as_rows
from fairway.samplers.adaptation import Adaptation, Pooled, Trajectory, is_dense
from fairway.samplers.kernel import Info, Kernel, Noise, State, accept, probability, shape_of, start_state
from fairway.samplers.target import Target

DIVERGENT = 1000.0  # an energy error, nats, at which a trajectory no longer follows the density
MOST = 1024  # leapfrogs of one trajectory


@dataclass(frozen=True)
class Rolling(State):
    """Chains with the mean length of a trajectory, a scalar in units of `scale`."""

    length: Tensor = None  # type: ignore[assignment]


def leapfrog(
    target: Target, u: Tensor, grad: Tensor, p: Tensor, step: Tensor, leapfrogs: int = 1, mix: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Roll from (u, p); inner half kicks are merged in pairs.

    Args:
        step: step size times scale, broadcast over u; negative runs back in time.
        mix: (D, D) factor of dense units, where `step` is the step size alone.

    Returns:
        u, log pi(u) (B,), its gradient, and p.
    """
    p = torch.addcmul(p, step, grad if mix is None else grad @ mix, value=0.5)
    for i in range(leapfrogs):
        u = torch.addcmul(u, step, p if mix is None else p @ mix.T)
        value, grad = target.value_and_grad(u)
        p = torch.addcmul(p, step, grad if mix is None else grad @ mix, value=1.0 if i + 1 < leapfrogs else 0.5)
    return u, value, grad, p


def rates(state: State, leapfrogs: int = 1) -> tuple[Tensor, int, Tensor | None]:
    """What `leapfrog` is told after the momentum: how fast u moves, for how long, and the factor of dense units."""
    step = expand_as_rows(state.step, state.u)
    return (step, leapfrogs, state.scale) if is_dense(state.scale) else (step * state.scale, leapfrogs, None)


def kinetic(p: Tensor) -> Tensor:
    """(B,): |p|^2 / 2."""
    return 0.5 * event_sum(p.square())


class HMC(Kernel):
    """Hamiltonian Monte Carlo with trajectories of random length.

    Args:
        step: leapfrog step size; where its adaptation starts.
        leapfrogs: steps of a mean trajectory; None lets the warm-up find the length.
        jitter: a trajectory's length is uniform within this share of the mean on both sides; 0 for a fixed length.
    """

    coupled = True
    wanted_acceptance = 0.8

    def __init__(self, step: float = 0.1, leapfrogs: int | None = None, jitter: float = 0.8) -> None:
        if step <= 0 or (leapfrogs is not None and not 1 <= leapfrogs <= MOST):
            raise ValueError(f"expected step > 0 and leapfrogs from 1 to {MOST}, got step={step}, {leapfrogs=}")
        if not 0 <= jitter <= 1:
            raise ValueError(f"expected a jitter from 0 to 1, got {jitter}")
        self.step_size, self.leapfrogs, self.jitter = step, leapfrogs, jitter
        self.static = jitter == 0 and leapfrogs is not None  # type: ignore[misc]
        self.gradients = float(leapfrogs or 1)

    @property
    def requires(self) -> tuple[type[Capability], ...]:
        return (HasEnergy, HasScore)  # a score exists on continuous units alone

    def noise(self, target: Target) -> dict[str, tuple[str, tuple[int, ...]]]:
        sources: dict[str, tuple[str, tuple[int, ...]]] = {"momentum": ("normal", shape_of(target.event))}
        sources["accept"] = ("uniform", ())
        return sources if self.static else {**sources, "length": ("common", ())}

    def init(self, target: Target, u: Tensor) -> Rolling:
        at = start_state(self, target, u)
        length = u.new_tensor(self.step_size * (self.leapfrogs or 1))
        return Rolling(at.u, at.value, at.grad, at.step, at.scale, length)

    def adaptation(self, state: State, steps: int) -> Adaptation:
        learn = Trajectory if self.leapfrogs is None else Pooled
        return learn(state, steps, self.wanted_acceptance)

    def step(self, target: Target, state: State, noise: Noise) -> tuple[State, Info]:
        count, p = self._count(state, noise), noise["momentum"]
        u, value, grad, end = leapfrog(target, state.u, state.grad, p, *rates(state, count))
        log_ratio = value - state.value + kinetic(p) - kinetic(end)
        chance = probability(log_ratio)
        moved = accept(state, noise["accept"] < chance, u=u, value=value, grad=grad)
        divergent = ~(log_ratio > -DIVERGENT)
        return moved, Info(chance, divergent, float(count), proposal=u, momentum=end)

    def _count(self, state: State, noise: Noise) -> int:
        """Leapfrogs of this step."""
        if self.static:
            return int(self.leapfrogs or 1)
        share = 1 + self.jitter * (2 * float(noise["length"]) - 1)
        if self.leapfrogs is not None:
            return max(1, min(MOST, math.ceil(share * self.leapfrogs)))
        assert isinstance(state, Rolling)
        length = share * float(state.length) / float(state.step.mean())
        return max(1, min(MOST, math.ceil(length))) if math.isfinite(length) else 1
