"""Conditional flow matching: regress the velocity on the direction of the line between a data point and a noise.

    u_t = alpha(t) u_0 + sigma(t) eps,   loss = E_{t, u_0, eps} |v(u_t, t) - (alpha'(t) u_0 + sigma'(t) eps)|^2 / D

On the straight line (alpha = 1 - t, sigma = t) the target is eps - u_0. Its conditional mean given u_t is the velocity
of the marginal path, so the minimiser transports N(0, I) into the data although no line of the regression does
(Lipman et al. 2023, theorem 2). Only the law of t is a choice: uniform, or the logistic of a normal, which looks more
often at the middle where the regression is hard (Esser et al. 2024, Scaling Rectified Flow Transformers, section 3.1).
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasVelocity
from fairway.core.numerics import expand_as_rows
from fairway.core.objective import Batch, Loss, Objective, Optimisation, Phase
from fairway.core.random import Rows

TIMES = ("logit_normal", "uniform")


class ConditionalFlowMatching(Objective):
    """Mean squared error of the velocity, per entry.

    Args:
        times: law of t, "logit_normal" or "uniform".
    """

    requires = (HasVelocity,)
    monitor = "loss"
    optimisation = Optimisation(lr=2e-3, ema=0.995)
    batch_size = 64

    def __init__(self, times: str = "logit_normal") -> None:
        super().__init__()
        if times not in TIMES:
            raise ValueError(f"expected times among {', '.join(TIMES)}, got {times!r}")
        self.times = times

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        t, eps = self._draw_times(generator.spawn(0)), generator.spawn(1).normal(*batch.u.shape[1:])
        u, target = path(model, batch.u, eps, t)
        error = (model._velocity(u, t, batch.context) - target).square().flatten(1).mean(1)
        total = batch.mean(error)
        return Loss(total, {"velocity_error": total})

    def _draw_times(self, rows: Rows) -> Tensor:
        return rows.uniform() if self.times == "uniform" else torch.sigmoid(rows.normal())


def path(model: Any, u: Tensor, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """u_t and du_t/dt along the line from u (B, *U) to eps: the model's schedule, or the straight one."""
    t = expand_as_rows(t, u)
    schedule = getattr(model, "schedule", None)
    if schedule is None:
        return (1 - t) * u + t * eps, eps - u
    (alpha, sigma), (alpha_slope, sigma_slope) = schedule(t), schedule.derivatives(t)
    return alpha * u + sigma * eps, alpha_slope * u + sigma_slope * eps
