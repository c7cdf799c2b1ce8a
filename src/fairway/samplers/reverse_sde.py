"""The noising process run backwards in time, by Euler and Maruyama, with Langevin corrections at each level.

    forward   du = f u dt + g dw,     f = alpha' / alpha,    g^2 = 2 sigma (sigma' - f sigma)
    backward  du = (f u - g^2 score) dt + g dw                       (Anderson 1982; Song et al. 2021, eq. 6)
    step      u_s = u_t - h (f u_t - g^2 score) + sqrt(h) g z,       h = t - s
    correct   u <- u + a score + sqrt(2 a) z,  a = 2 (r sigma)^2      (Song et al. 2021, algorithm 4)

The corrector's step is the paper's at the norms that score and noise have on average, |score| = |z| / sigma, so that a
row never sees its neighbours. The law has an error of order 1 in the steps; more steps than an ODE needs, and errors of
the network that are forgotten on the way. Where alpha(1) = 0 the first step starts `NEAREST` below t = 1.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fairway.samplers.noise_grid import NEAREST, DenoisingSampler, Level, Predict, Rule


class ReverseSDE(DenoisingSampler):
    """Euler and Maruyama; one evaluation a step.

    Args:
        steps: noise levels, which is also the number of network evaluations.
        grid: "time", "log_snr" or "karras".
    """

    def __init__(self, steps: int = 500, grid: str = "time") -> None:
        super().__init__(steps, grid)

    def rule(self, predict: Predict, noise: Callable[[], Tensor], schedule: Any) -> Rule:
        def step(u: Tensor, here: Level, there: Level) -> Tensor:
            here = here if here.alpha else Level.at(schedule, 1 - NEAREST)
            f, g2 = coefficients(schedule, here)
            score = (here.alpha * predict(u, here) - u) / here.sigma**2
            h = here.t - there.t
            return u - h * (f * u - g2 * score) + math.sqrt(h * g2) * noise()

        return step


class PredictorCorrector(ReverseSDE):
    """The same with one Langevin step at each level reached; two evaluations a step.

    Args:
        steps: noise levels K; 2 K - 1 evaluations.
        ratio: r, the corrector's signal-to-noise ratio.
        grid: "time", "log_snr" or "karras".

    Raises:
        ValueError: a ratio that is not positive.
    """

    def __init__(self, steps: int = 250, ratio: float = 0.16, grid: str = "time") -> None:
        super().__init__(steps, grid)
        if not 0 < ratio < math.inf:
            raise ValueError(f"expected ratio above 0, got {ratio}")
        self.ratio = float(ratio)

    def rule(self, predict: Predict, noise: Callable[[], Tensor], schedule: Any) -> Rule:
        forward = super().rule(predict, noise, schedule)

        def step(u: Tensor, here: Level, there: Level) -> Tensor:
            u = forward(u, here, there)
            score = (there.alpha * predict(u, there) - u) / there.sigma**2
            size = 2 * (self.ratio * there.sigma) ** 2
            return u + size * score + math.sqrt(2 * size) * noise()

        return step


def coefficients(schedule: Any, level: Level) -> tuple[float, float]:
    """f and g^2 at a level with alpha above 0."""
    alpha_slope, sigma_slope = (float(c) for c in schedule.derivatives(torch.tensor(level.t, dtype=torch.float64)))
    f = alpha_slope / level.alpha
    return f, 2 * level.sigma * (sigma_slope - f * level.sigma)
