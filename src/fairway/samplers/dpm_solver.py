"""DPM-Solver++ (2M): the linear part of the flow solved exactly, the data's estimate extrapolated from two levels.

    l = log(alpha / sigma),  h = l_s - l_t > 0:
    u_s = (sigma_s / sigma_t) u_t + alpha_s (1 - e^-h) D',      D' = D_t + (D_t - D_before) h / (2 h_before)

One evaluation a step and order 2: the default where strokes are dear. The stochastic rule (SDE) puts in what the
reverse-time equation would,

    u_s = (sigma_s / sigma_t) e^-h u_t + alpha_s (1 - e^-2h) D' + sigma_s sqrt(1 - e^-2h) z

Source: Lu et al. 2022, DPM-Solver++: Fast Solver for Guided Sampling, algorithm 2 and appendix B (2M, SDE-2M).
"""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from fairway.samplers.noise_grid import DenoisingSampler, Level, Predict, Rule


class DPMSolver(DenoisingSampler):
    """One evaluation a step; order 2, deterministic.

    Args:
        steps: noise levels, which is also the number of network evaluations.
        grid: "open", "log_snr" (the paper's), "karras" or "time".
    """

    def __init__(self, steps: int = 20, grid: str = "open") -> None:
        super().__init__(steps, grid)

    def rule(self, predict: Predict, noise: Callable[[], Tensor], schedule: Any) -> Rule:
        estimate = _Extrapolated(predict)

        def step(u: Tensor, here: Level, there: Level) -> Tensor:
            left = _left(here, there)
            return there.sigma / here.sigma * u + there.alpha * (1 - left) * estimate(u, here, there)

        return step


class DPMSolverSDE(DenoisingSampler):
    """One evaluation a step, fresh noise at each.

    Args:
        steps: noise levels, which is also the number of network evaluations.
        grid: "log_snr", "karras" or "time".
    """

    def __init__(self, steps: int = 50, grid: str = "log_snr") -> None:
        super().__init__(steps, grid)

    def rule(self, predict: Predict, noise: Callable[[], Tensor], schedule: Any) -> Rule:
        estimate = _Extrapolated(predict)

        def step(u: Tensor, here: Level, there: Level) -> Tensor:
            left = _left(here, there)
            mean = there.sigma / here.sigma * left * u + there.alpha * (1 - left**2) * estimate(u, here, there)
            return mean + there.sigma * math.sqrt(1 - left**2) * noise()

        return step


class _Extrapolated:
    """D', from the estimates at this level and the one before; D itself where there is none."""

    def __init__(self, predict: Predict) -> None:
        self.predict = predict
        self.before: tuple[Tensor, float] | None = None

    def __call__(self, u: Tensor, here: Level, there: Level) -> Tensor:
        data, h = self.predict(u, here), -math.log(_left(here, there)) if here.alpha else math.inf
        before, self.before = self.before, (data, h)
        if before is None or math.isinf(before[1]):
            return data
        return data + (data - before[0]) * (h / (2 * before[1]))


def _left(here: Level, there: Level) -> float:
    """e^-h: the noise-to-signal ratio there over the one here."""
    return here.alpha * there.sigma / (there.alpha * here.sigma)
