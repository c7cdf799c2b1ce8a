"""Heun's method along the noise-to-signal ratio, with noise put back on the way if one likes (EDM's sampler).

    x = u / alpha,  r = sigma / alpha:      dx/dr = eps(x, r)                       (Karras et al. 2022, algorithm 2)
    step r -> s:  x' = x + (s - r) eps,     x <- x + (s - r) (eps + eps') / 2        order 2, two evaluations
    churn:        r <- r (1 + g), x <- x + sqrt(r_new^2 - r^2) z, before the step;  g = min(churn / K, sqrt 2 - 1)

With K levels it takes 2 K - 1 evaluations: 35 for the paper's 18. Churn corrects errors of earlier steps at the price
of more of them; without it the same noise gives the same sample. From a level of pure noise, alpha = 0, the first step
is DDIM's, of whose error there is only one.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fairway.samplers.ddim import towards
from fairway.samplers.noise_grid import DenoisingSampler, Level, Predict, Rule

MOST_CHURN = math.sqrt(2) - 1  # of the ratio, in one step


class Heun(DenoisingSampler):
    """Two evaluations a step; order 2.

    Args:
        steps: noise levels K; 2 K - 1 evaluations.
        churn: noise put back over the whole run (the paper's S_churn), 0 for none.
        grid: "karras", "log_snr" or "time".

    Raises:
        ValueError: a negative churn.
    """

    def __init__(self, steps: int = 18, churn: float = 0.0, grid: str = "karras") -> None:
        super().__init__(steps, grid)
        if not 0 <= churn < math.inf:
            raise ValueError(f"expected churn of at least 0, got {churn}")
        self.churn = float(churn)

    def rule(self, predict: Predict, noise: Callable[[], Tensor], schedule: Any) -> Rule:
        share = min(self.churn / self.steps, MOST_CHURN)

        def step(u: Tensor, here: Level, there: Level) -> Tensor:
            if share and here.t < 1:
                u, here = _churned(u, here, share, noise(), schedule)
            data = predict(u, here)
            moved = towards(u, data, here, there)
            if not here.alpha:
                return moved
            ratio = there.alpha / here.alpha
            eps = (u - here.alpha * data) / here.sigma + (moved - there.alpha * predict(moved, there)) / there.sigma
            return ratio * u + (there.sigma - ratio * here.sigma) / 2 * eps

        return step


def _churned(u: Tensor, here: Level, share: float, noise: Tensor, schedule: Any) -> tuple[Tensor, Level]:
    """The point with noise put back, and its level, not beyond t = 1."""
    wanted = schedule.at_log_snr(
        torch.tensor(2 * math.log(here.alpha / (here.sigma * (1 + share))), dtype=torch.float64)
    )
    back = Level.at(schedule, min(float(wanted), 1.0))
    kept = back.alpha / here.alpha
    return kept * u + math.sqrt(max(back.sigma**2 - (kept * here.sigma) ** 2, 0.0)) * noise, back
