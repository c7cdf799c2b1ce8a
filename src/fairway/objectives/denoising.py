"""Denoising: regress what a network predicts on what the noise made of the data. One loss for every denoiser.

    u_t = alpha u_0 + sigma eps,      E_{t, u_0, eps} |y(u_t, t) - (p u_0 + q eps)|^2 / D

y predicts p u_0 + q eps (see `models.diffusion.prediction`), and its minimiser is the conditional mean given u_t, from
which the score follows (Vincent 2011, A Connection Between Score Matching and Denoising Autoencoders). Papers differ in
(p, q), which also weighs the levels, and in the law of t:

    uniform       every t alike                             (Ho et al. 2020; Song et al. 2021)
    log_normal    log(sigma / alpha) ~ N(-1.2, 1.2^2)       where the regression is neither trivial nor hopeless
                                                            (Karras et al. 2022, table 1)
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasDenoiser
from fairway.core.numerics import expand_as_rows
from fairway.core.objective import Batch, Loss, Phase
from fairway.core.random import Rows
from fairway.objectives.noise_regression import NoiseRegression

TIMES = ("uniform", "log_normal")
MEAN, STD = -1.2, 1.2  # of log(sigma / alpha)
NEAREST = 1e-3  # to t = 0, where nothing is left to say


class Denoising(NoiseRegression):
    """Mean squared error of a denoiser's own prediction, per entry.

    Args:
        times: law of t, "uniform" or "log_normal".

    Raises:
        ValueError: another law.
    """

    requires = (HasDenoiser,)

    def __init__(self, times: str = "uniform") -> None:
        super().__init__()
        if times not in TIMES:
            raise ValueError(f"expected times among {', '.join(TIMES)}, got {times!r}")
        self.times = times

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        t, eps = self._draw_times(model.schedule, generator.spawn(0)), generator.spawn(1).normal(*batch.u.shape[1:])
        (alpha, sigma), (p, q) = (
            tuple(expand_as_rows(c, batch.u) for c in pair) for pair in (model.schedule(t), model._prediction(t))
        )
        y = model._network(alpha * batch.u + sigma * eps, t, batch.context)
        error = (y - (p * batch.u + q * eps)).square().flatten(1).mean(1)
        total = batch.mean(error)
        return Loss(total, {"denoising_error": total})

    def _draw_times(self, schedule: Any, rows: Rows) -> Tensor:
        if self.times == "uniform":
            return NEAREST + (1 - NEAREST) * rows.uniform()
        times: Tensor = schedule.at_log_snr(-2 * (MEAN + STD * rows.normal()))
        return torch.clamp(times, 0.0, 1.0)
