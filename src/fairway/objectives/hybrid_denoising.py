"""Denoising together with the variances of the steps back, which the denoising loss does not see.

    L = L_simple + 0.001 L_vlb                                              (Nichol and Dhariwal 2021, eq. 16)

    L_simple = E |y(u_t, t) - (p u_0 + q eps)|^2 / D                        as `denoising`, t = i / T, i = 1, ..., T
    L_vlb    = T E_i KL(q(u_s | u_t, u_0) | p(u_s | u_t)) / D,  s = t - 1/T     nats per entry

One pass of the network gives both. Within L_vlb the mean of p carries no gradient: its noise would drown L_simple's,
and the mean learns from L_simple alone (section 3.1). The last step, i = 1, has a decoder with a variance of its own
and nothing to learn here.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import CapabilityError, HasDenoiser
from fairway.core.numerics import expand_as_rows
from fairway.core.objective import Batch, Loss, Phase
from fairway.core.random import Rows
from fairway.objectives.noise_regression import NoiseRegression


class HybridDenoising(NoiseRegression):
    """Mean squared error of a denoiser's prediction, and the divergence of its steps for their variances.

    Args:
        bound_weight: of L_vlb.

    Raises:
        ValueError: a weight that is not positive.
    """

    requires = (HasDenoiser,)

    def __init__(self, bound_weight: float = 1e-3) -> None:
        super().__init__()
        if not bound_weight > 0:
            raise ValueError(f"expected bound_weight above 0, got {bound_weight}; without it, take 'denoising'")
        self.bound_weight = bound_weight

    def check(self, model: Any) -> None:
        """Whether the model has variances to learn.

        Raises:
            CapabilityError: it has none.
        """
        super().check(model)
        if not getattr(model, "learned_variance", False):
            raise CapabilityError(
                f"the objective {self.name()} needs a model with learned_variance=True; {model.name()} as it is "
                "learns by 'denoising'"
            )

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        t, s, first = self._draw_steps(model.levels, generator.spawn(0))
        eps = generator.spawn(1).normal(*batch.u.shape[1:])
        alpha, sigma = (expand_as_rows(c, batch.u) for c in model.schedule(t))
        data, noise, excess = model._reverse_terms(alpha * batch.u + sigma * eps, t, s, batch.context)
        error = model._regressed(data, noise, t) - model._regressed(batch.u, eps, t)
        cost = model._step_cost(batch.u, eps, (data.detach(), noise.detach(), excess), t, s) / batch.u[0].numel()
        simple = batch.mean(error.square().flatten(1).mean(1))
        bound = model.levels * batch.mean(torch.where(first, torch.zeros_like(cost), cost))
        return Loss(simple + self.bound_weight * bound, {"denoising_error": simple, "bound_steps": bound})

    def _draw_steps(self, levels: int, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
        """t = i / T and s = t - 1 / T (B,), and whether i is 1, where s stands at t / 2 for a finite cost."""
        step = 1 + (rows.uniform() * levels).floor().clamp(max=levels - 1)
        first = step == 1
        return step / levels, torch.where(first, 0.5, step - 1) / levels, first
