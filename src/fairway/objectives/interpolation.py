"""Stochastic interpolants: regress the velocity of paths between two sets of points, neither of which has to be noise.

    u_t = (1 - t) u_0 + t u_1 + gamma(t) z,      gamma(t) = a sqrt(2 t (1 - t)),   z ~ N(0, I)
    loss = E |v(u_t, t) - (u_1 - u_0 + gamma'(t) z)|^2 / D

u_0 are data, u_1 ~ p_1 is whatever the model starts from at t = 1. The minimiser carries p_1 into the data for every
gamma with gamma(0) = gamma(1) = 0 and every coupling of (u_0, u_1) (Albergo, Boffi and Vanden-Eijnden 2023, Stochastic
Interpolants, section 2). a > 0 smooths the densities in between, which between narrow clusters are hard to learn;
gamma' grows like 1 / sqrt(t) at the ends, so z comes with -z and the large part cancels. a = 0 and the Gaussian is flow
matching.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fairway.core.numerics import expand_as_rows
from fairway.core.objective import Batch, Loss, Phase
from fairway.core.random import Rows
from fairway.objectives.couplings import Coupling
from fairway.objectives.flow_matching import CoupledRegression

NEAREST = 1e-4  # to the ends, where gamma' is infinite


class Interpolation(CoupledRegression):
    """Mean squared error of the velocity, per entry, on straight paths to draws of the model's own law at t = 1.

    Args:
        times: law of t, "logit_normal", "wide_normal" or "uniform".
        coupling: "independent", "optimal_transport", "class_wise" (with a context), or a `Coupling`.
        noise: a, in model units, where data have scale 1; 0 for straight lines. The paper takes 1.

    Raises:
        ValueError: an unknown law or coupling, noise below 0; in training as `ConditionalFlowMatching`.
    """

    def __init__(
        self, times: str = "logit_normal", coupling: str | Coupling = "independent", noise: float = 0.0
    ) -> None:
        super().__init__(times, coupling)
        if not noise >= 0:
            raise ValueError(f"expected noise of at least 0, got {noise}")
        self.noise = noise

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        t, u = self._draw_times(generator.spawn(0)), batch.u
        end = self._paired(batch, model._prior(generator.spawn(1)), generator)
        at, slope = expand_as_rows(t, u), end - u
        point = (1 - at) * u + at * end
        if not self.noise:
            return self._regress(model, batch, point, slope, t)
        z, (gamma, gamma_slope) = generator.spawn(2).normal(*u.shape[1:]), bump(at, self.noise)
        both = torch.cat([point + gamma * z, point - gamma * z])
        slopes = torch.cat([slope + gamma_slope * z, slope - gamma_slope * z])
        return self._regress(model, _twice(batch), both, slopes, torch.cat([t, t]))


def bump(t: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """gamma(t) and gamma'(t), both kept finite at the ends.

    >>> bump(torch.tensor([0.5]), 1.0)
    (tensor([0.7071]), tensor([0.]))
    """
    t = t.clamp(NEAREST, 1 - NEAREST)
    root = torch.sqrt(2 * t * (1 - t))
    return noise * root, noise * (1 - 2 * t) / root


def _twice(batch: Batch) -> Batch:
    """The same rows again below."""
    twice = {
        name: torch.cat([part, part])
        for name in ("u", "context", "weight")
        if (part := getattr(batch, name)) is not None
    }
    return replace(batch, **twice, total=None if batch.total is None else 2 * batch.total)
