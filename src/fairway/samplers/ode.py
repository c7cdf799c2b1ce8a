"""The probability flow: noise becomes data along an ordinary differential equation.

    du/dt = v(u, t),   u(1) ~ N(0, I),   sample = u(0)                      t = 1 noise, t = 0 data

The only randomness is the starting noise, so equal noise gives equal samples whatever the batch. The error of a grid
of steps h is O(h^2) for Heun and O(h^4) for Runge-Kutta; the cost is steps x (1 Euler, 2 Heun, 4 Runge-Kutta)
evaluations of the network.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasVelocity
from fairway.core.ode import METHODS, grid, integrate
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Sampler


class ProbabilityFlow(Sampler):
    """Integrate the velocity from t = 1 to t = 0 on equal steps.

    Args:
        steps: grid intervals.
        method: "heun", "rk4" or "euler".
    """

    requires = (HasVelocity,)

    def __init__(self, steps: int = 25, method: str = "heun") -> None:
        if method not in METHODS:
            raise ValueError(f"expected a method among {', '.join(METHODS)}, got {method!r}")
        if steps < 1:
            raise ValueError(f"expected steps of at least 1, got {steps}")
        self.steps, self.method = steps, method

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
        """As `Sampler.run`; `init` are the points at t = 1 in place of noise, `trace` the path (steps + 1, n, *U)."""
        u = model._prior(generator) if init is None else init

        def field(u: Tensor, t: Tensor) -> Tensor:
            out: Tensor = model._velocity(u, t.expand(len(u)), context)
            return out

        times, states = grid(1.0, 0.0, self.steps, u), [u]
        for k in range(self.steps):
            u = integrate(field, u, times[k : k + 2], self.method)
            if trace:
                states.append(u)
        return Draws(u, float(self.steps * METHODS[self.method]), trace=torch.stack(states) if trace else None)
