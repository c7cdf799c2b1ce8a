"""Conditional flow matching: regress the velocity on the direction of the line between a data point and a noise.

    u_t = alpha(t) u_0 + sigma(t) eps,   loss = E_{t, u_0, eps} |v(u_t, t) - (alpha'(t) u_0 + sigma'(t) eps)|^2 / D

On the straight line (alpha = 1 - t, sigma = t) the target is eps - u_0. Its conditional mean given u_t is the velocity
of the marginal path, so the minimiser transports N(0, I) into the data although no line of the regression does
(Lipman et al. 2023, theorem 2). Two things are a choice. The coupling of (u_0, eps), see `couplings`: any with these
marginals ends at the data (Tong et al. 2024). And the law of t:

    uniform
    logit_normal    logit t ~ N(0, 1): often the middle, where the regression of images is hard
                    (Esser et al. 2024, Scaling Rectified Flow Transformers, section 3.1)
    wide_normal     logit t ~ N(-1.2, 2^2): what is a hundredth as wide as the data is seen at t < 0.1 alone, which 31
                    rows of 100 show instead of 1, and t > 0.9, where the scale of all is learned, 4 instead of 1
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasVelocity
from fairway.core.numerics import expand_as_rows
from fairway.core.objective import Batch, Loss, Phase
from fairway.core.random import Rows
from fairway.objectives.couplings import Coupling, coupled, coupling_named
from fairway.objectives.noise_regression import NoiseRegression

NORMALS = {"logit_normal": (0.0, 1.0), "wide_normal": (-1.2, 2.0)}  # mean and standard deviation of logit t
TIMES = (*NORMALS, "uniform")


class VelocityRegression(NoiseRegression):
    """What regressions of a velocity share; subclasses give the pairs and the path.

    Args:
        times: law of t, "logit_normal", "wide_normal" or "uniform".

    Raises:
        ValueError: another law.
    """

    requires = (HasVelocity,)

    def __init__(self, times: str = "logit_normal") -> None:
        super().__init__()
        if times not in TIMES:
            raise ValueError(f"expected times among {', '.join(TIMES)}, got {times!r}")
        self.times = times

    def _draw_times(self, rows: Rows) -> Tensor:
        if self.times == "uniform":
            return rows.uniform()
        mean, std = NORMALS[self.times]
        return torch.sigmoid(mean + std * rows.normal())

    def _regress(self, model: Any, batch: Batch, u: Tensor, target: Tensor, t: Tensor) -> Loss:
        """The squared error per entry at u (B, *U) and t (B,)."""
        error = (model._velocity(u, t, batch.context) - target).square().flatten(1).mean(1)
        total = batch.mean(error)
        return Loss(total, {"velocity_error": total})


class CoupledRegression(VelocityRegression):
    """Of pairs that a coupling chooses; subclasses give the path.

    Args:
        times: law of t, "logit_normal", "wide_normal" or "uniform".
        coupling: by name, or a `Coupling`.
    """

    def __init__(self, times: str, coupling: str | Coupling) -> None:
        super().__init__(times)
        self.coupling = coupling_named(coupling)
        self.arguments["coupling"] = self.coupling
        self.traceable = not self.coupling.couples  # type: ignore[misc]

    def _paired(self, batch: Batch, end: Tensor, rows: Rows) -> Tensor:
        """The other ends (B, *U) in the order that the coupling gives them.

        Raises:
            ValueError: the rows have weights, under which the coupled ends would not keep their law.
        """
        if self.coupling.couples and batch.weight is not None:
            raise ValueError(
                f"expected no weights with the coupling {self.coupling.name()}: it would weigh the noise, too"
            )
        return coupled(self.coupling, batch.u, end, batch.context, rows)


class ConditionalFlowMatching(CoupledRegression):
    """Mean squared error of the velocity, per entry, on paths between data and N(0, I).

    Args:
        times: law of t, "logit_normal", "wide_normal" or "uniform".
        coupling: "independent", "optimal_transport", "class_wise" (with a context), or a `Coupling`.

    Raises:
        ValueError: an unknown law or coupling; in training, a coupling that does not go with a context or weights.
    """

    def __init__(self, times: str = "logit_normal", coupling: str | Coupling = "independent") -> None:
        super().__init__(times, coupling)

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        t, noise = self._draw_times(generator.spawn(0)), generator.spawn(1).normal(*batch.u.shape[1:])
        u, target = path(model, batch.u, self._paired(batch, noise, generator), t)
        return self._regress(model, batch, u, target, t)


def path(model: Any, u: Tensor, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """u_t and du_t/dt along the line from u (B, *U) to eps: the model's schedule, or the straight one."""
    t = expand_as_rows(t, u)
    schedule = getattr(model, "schedule", None)
    if schedule is None:
        return (1 - t) * u + t * eps, eps - u
    (alpha, sigma), (alpha_slope, sigma_slope) = schedule(t), schedule.derivatives(t)
    return alpha * u + sigma * eps, alpha_slope * u + sigma_slope * eps
