"""The probability flow to a tolerance: every row takes steps of its own, as long as its own error allows.

    du/dt = v(u, t),   u(1) ~ N(0, I),   sample = u(0)                        t = 1 noise, t = 0 data
    k_i = v(u - h sum_j a_ij k_j, t - c_i h)                                  seven slopes
    u'  = u - h sum_i b_i k_i      of order 5,      d = h sum_i e_i k_i       its distance from one of order 4
    E   = root mean square over the entries of a row of d / (atol + rtol max(|u|, |u'|))
    E <= 1: u <- u', t <- t - h;   then, or to try again,   h <- min(0.1, h min(5, max(1/5, 0.9 E^(-1/5))))

The last slope of a step is the first of the next, so that a step costs six evaluations. Of a row with few entries E is
now and then small by accident; a tenth of the way at most bounds what that costs. A solver that steps a batch together
(SciPy's, torchdiffeq's) goes at the pace of its hardest row, and a row's sample depends on its neighbours; here rows
that have arrived leave the batch, and the same noise gives the same sample in any company, up to rounding.
Source: Dormand and Prince 1980, A family of embedded Runge-Kutta formulae, RK5(4)7M; the choice of h: Hairer, Nørsett
and Wanner 1993, Solving Ordinary Differential Equations I, section II.4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasVelocity
from fairway.core.numerics import expand_as_rows
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Sampler

PLACES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)  # c_2, ..., c_7
STAGES = (  # a_ij; the last line are the weights b of order 5
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)  # b less those of order 4
EVALUATIONS = len(STAGES)  # of a step
LONGEST, SHORTEST = 0.1, 1e-9  # steps; one that is too long even so has no velocity to follow
CAREFUL, LEAST, MOST = 0.9, 0.2, 5.0  # what a step is multiplied by
TO_END = 1.01  # a step that would leave less of itself goes all the way
FEWEST = 8  # rows evaluated at once: of one or two, a product of matrices rounds otherwise than of many

Velocity = Callable[[Tensor, Tensor, Tensor], Tensor]  # u (R, *U), t (R,), row (R,) -> (R, *U)


@dataclass
class Front:
    """The rows that are on their way.

    Args:
        row: (R,) which of the batch they are.
        u, slope: (R, *U) where they are, and the velocity there.
        t, h: (R,) float64, when they are, and how far they will step.
    """

    row: Tensor
    u: Tensor
    slope: Tensor
    t: Tensor
    h: Tensor

    def keep(self, which: Tensor) -> None:
        """Only these rows, of a mask (R,)."""
        for name, value in list(vars(self).items()):
            setattr(self, name, value[which])


class AdaptiveFlow(Sampler):
    """Integrate the velocity from t = 1 to t = 0, each row to a tolerance in steps of its own.

    Draws say how many evaluations a row took on average, and the one that took most.

    Args:
        rtol, atol: error allowed in one step, relative to the values of a row and absolute, in model units.
        most: steps of a row, those included that were too long and tried again.

    Raises:
        ValueError: tolerances that are negative or both 0, or no step.
    """

    requires = (HasVelocity,)

    def __init__(self, rtol: float = 1e-5, atol: float = 1e-5, most: int = 1000) -> None:
        if not (0 <= rtol < math.inf and 0 <= atol < math.inf and rtol + atol > 0):
            raise ValueError(f"expected rtol and atol of at least 0, not both 0, got {rtol} and {atol}")
        if most < 1:
            raise ValueError(f"expected most of at least 1 step, got {most}")
        self.rtol, self.atol, self.most = float(rtol), float(atol), most

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
        """As `Sampler.run`; `init` are the points at t = 1 in place of noise.

        Raises:
            ValueError: a trace; rows have no times in common.
            RuntimeError: names a row that does not arrive.
        """
        if trace:
            raise ValueError("expected trace=False: rows step at times of their own; ProbabilityFlow keeps a path")

        def velocity(u: Tensor, t: Tensor, row: Tensor) -> Tensor:
            out: Tensor = model._velocity(u, t.to(u.dtype), None if context is None else context[row])
            return out

        u = model._prior(generator) if init is None else init
        with torch.autocast(u.device.type, enabled=False):  # rounding to bfloat16 would look like an error of the steps
            samples, steps = self._solve(lambda u, t, row: _in_company(velocity, u, t, row), u, generator.start)
        counts = 1 + EVALUATIONS * steps
        return Draws(samples, float(counts.double().mean()), most_evaluations=float(counts.max()))

    def _solve(self, velocity: Velocity, u: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """u at t = 0 (n, *U), and the steps of each row (n,)."""
        row = torch.arange(len(u), device=u.device)
        t = torch.ones(len(u), dtype=torch.float64, device=u.device)
        front = Front(row, u, velocity(u, t, row), t, torch.full_like(t, LONGEST))
        samples, steps = torch.empty_like(u), torch.zeros_like(row)
        for tried in range(1, self.most + 1):
            self._advance(front, velocity, start)
            arrived = front.t == 0
            samples[front.row[arrived]], steps[front.row[arrived]] = front.u[arrived], tried
            front.keep(~arrived)
            if not len(front.row):
                return samples, steps
        raise _lost(front, 0, start, f"after {self.most} steps")

    def _advance(self, front: Front, velocity: Velocity, start: int) -> None:
        """One step of every row, where its error allows, and the length of its next."""
        h = torch.where(front.t <= TO_END * front.h, front.t, front.h)
        u, slopes = _step(velocity, front, h)
        error = self._error(front.u, u, _sum(ERROR, slopes) * expand_as_rows(h.to(u.dtype), u))
        taken = error <= 1  # of NaN or infinity: tried again with a shorter step
        hopeless = ~taken & (h < SHORTEST)
        if bool(hopeless.any()):
            raise _lost(front, int(hopeless.nonzero()[0]), start, f"and a step of {SHORTEST} is too long")
        here = expand_as_rows(taken, u)
        front.u, front.slope = torch.where(here, u, front.u), torch.where(here, slopes[-1], front.slope)
        front.t = torch.where(taken, front.t - h, front.t)
        front.h = (h * (CAREFUL * error.pow(-1 / 5)).clamp(LEAST, MOST)).clamp(max=LONGEST)

    def _error(self, before: Tensor, after: Tensor, distance: Tensor) -> Tensor:
        """(R,) float64: E, infinity where it is not a number."""
        scale = self.atol + self.rtol * torch.maximum(before.abs(), after.abs())
        shares = (distance / scale).double().square().flatten(1)
        return shares.mean(1).sqrt().nan_to_num(nan=math.inf, posinf=math.inf)


def _step(velocity: Velocity, front: Front, h: Tensor) -> tuple[Tensor, list[Tensor]]:
    """u' (R, *U), and the seven slopes, the last of them at u'."""
    u, slopes, width = front.u, [front.slope], expand_as_rows(h.to(front.u.dtype), front.u)
    for place, weights in zip(PLACES, STAGES, strict=True):
        u = front.u - width * _sum(weights, slopes)
        slopes.append(velocity(u, front.t - place * h, front.row))
    return u, slopes


def _sum(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    """Sum over i of w_i k_i."""
    total = weights[0] * slopes[0]
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        total = total + weight * slope if weight else total
    return total


def _in_company(velocity: Velocity, u: Tensor, t: Tensor, row: Tensor) -> Tensor:
    """The velocity of rows that are made up to `FEWEST` by repeating them."""
    if len(u) >= FEWEST:
        return velocity(u, t, row)
    more = torch.arange(FEWEST, device=u.device) % len(u)
    return velocity(u[more], t[more], row[more])[: len(u)]


def _lost(front: Front, which: int, start: int, why: str) -> RuntimeError:
    """The error about a row that does not arrive."""
    return RuntimeError(
        f"row {start + int(front.row[which])} is at t = {float(front.t[which]):.3g} {why}: expected t = 0; raise rtol, "
        "atol or most, or look for a velocity that jumps or is not a number"
    )
