"""Steps between noise levels that keep the law of every level, with as much fresh noise as one likes (DDIM).

    u_s = alpha_s D + sqrt(sigma_s^2 - v) eps + sqrt(v) z,      D = E[u_0 | u_t],  eps = (u_t - alpha_t D) / sigma_t
    v   = eta^2 sigma_s^2 (1 - (alpha_t sigma_s / (alpha_s sigma_t))^2)

eta = 0 is deterministic, Euler's method along sigma / alpha: order 1. eta = 1 has the variance of q(u_s | u_t, u_0):
it is ancestral sampling, DDPM's own. Source: Song, Meng and Ermon 2021, Denoising Diffusion Implicit Models, eq. 12
and 16, for any schedule and any two levels; Ho et al. 2020, eq. 7.
"""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from fairway.samplers.noise_grid import DenoisingSampler, Level, Predict, Rule


class DDIM(DenoisingSampler):
    """One evaluation a step; order 1.

    Args:
        steps: noise levels, which is also the number of network evaluations.
        eta: 0 deterministic, 1 ancestral, from 0 to 1.
        grid: "log_snr", "karras" or "time".

    Raises:
        ValueError: eta outside [0, 1].
    """

    def __init__(self, steps: int = 50, eta: float = 0.0, grid: str = "log_snr") -> None:
        super().__init__(steps, grid)
        if not 0 <= eta <= 1:
            raise ValueError(f"expected eta in [0, 1], got {eta}")
        self.eta = float(eta)

    def rule(self, predict: Predict, noise: Callable[[], Tensor], schedule: Any) -> Rule:
        def step(u: Tensor, here: Level, there: Level) -> Tensor:
            variance = self.eta**2 * posterior_variance(here, there)
            moved = towards(u, predict(u, here), here, there, variance)
            return moved + math.sqrt(variance) * noise() if variance else moved

        return step


class Ancestral(DDIM):
    """Draws from q(u_s | u_t, u_0 = D): DDPM's sampler.

    Args:
        steps: noise levels, which is also the number of network evaluations.
        grid: "log_snr", "karras" or "time".
    """

    def __init__(self, steps: int = 200, grid: str = "log_snr") -> None:
        super().__init__(steps, 1.0, grid)


def towards(u: Tensor, data: Tensor, here: Level, there: Level, variance: float = 0.0) -> Tensor:
    """The mean at the next level: the same data, and what is left of the noise."""
    left = math.sqrt(max(there.sigma**2 - variance, 0.0)) / here.sigma
    return left * u + (there.alpha - left * here.alpha) * data


def posterior_variance(here: Level, there: Level) -> float:
    """The variance of u_s given u_t and u_0, from a level to one of less noise."""
    ratio = here.alpha * there.sigma / (there.alpha * here.sigma)
    return there.sigma**2 * max(1 - ratio**2, 0.0)
