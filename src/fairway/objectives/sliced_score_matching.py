"""Sliced score matching: the Fisher divergence to the data, without the data's score and without a normaliser.

    E |s(u) - grad log p_data(u)|^2 / 2 = E [tr(ds/du) + |s|^2 / 2] + const               (Hyvaerinen 2005, theorem 1)
    J = E_u E_v [v' (ds/du) v + (v' s)^2 / 2],      v = random signs, E[v v'] = I        (Song et al. 2019, eq. 7 and 8)

s = grad log p is a model's score: any energy, flow or mixture learns this way, log Z never enters. A direction v costs
one more gradient, whatever D is. The norm of s needs no direction, |s|^2 / 2 in place of (v' s)^2 / 2: the same mean
with less variance (section 4.1). The data must have a density: of repeated values J has no least value.

A denoiser has a score at every noise level, and J is asked of noisy data, weighed by the noise's variance,

    E_t sigma^2 J(s(., t); u_t),     u_t = alpha u_0 + sigma eps,     t uniform            (Song and Ermon 2019, eq. 3)

which has the minimiser of denoising, the score of p_t, without a look at eps.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasDenoiser, HasScore
from fairway.core.numerics import expand_as_rows
from fairway.core.objective import Batch, Loss, Objective, Optimisation, Phase
from fairway.core.random import Rows

NEAREST = 1e-3  # to t = 0, as for denoising

Score = Callable[[Tensor], Tensor]


class SlicedScoreMatching(Objective):
    """Sliced score matching, per entry: of the score, or of a denoiser's scores at all noise levels.

    Args:
        directions: v per row.
        variance_reduced: |s|^2 / 2 in place of (v' s)^2 / 2.

    Raises:
        ValueError: no direction.
    """

    requires = (HasScore,)
    monitor = "loss"
    optimisation = Optimisation(lr=2e-3, ema=0.99)
    traceable = False  # slopes of slopes

    def __init__(self, directions: int = 1, variance_reduced: bool = True) -> None:
        super().__init__()
        if directions < 1:
            raise ValueError(f"expected directions of at least 1, got {directions}")
        self.directions, self.variance_reduced = directions, variance_reduced

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        u, weight, score = self._asked(batch, model, generator)
        with torch.enable_grad():
            trace, norm = self._terms(score, u.detach().requires_grad_(), generator.spawn(0))
        dims = u[0].numel()
        terms = {"trace": batch.mean(weight * trace) / dims, "norm": batch.mean(weight * norm) / dims}
        return Loss(terms["trace"] + terms["norm"], terms)

    def _asked(self, batch: Batch, model: Any, rows: Rows) -> tuple[Tensor, Tensor, Score]:
        """Where the score is asked (B, *U), the weights (B,), and the score as a function of u alone."""
        if not model.supports(HasDenoiser, units="model"):
            return batch.u, batch.u.new_ones(len(batch)), lambda u: model._score(u, batch.context)
        t = NEAREST + (1 - NEAREST) * rows.spawn(1).uniform()
        alpha, sigma = model.schedule(t)
        noise = rows.spawn(2).normal(*batch.u.shape[1:])
        u = expand_as_rows(alpha, batch.u) * batch.u + expand_as_rows(sigma, batch.u) * noise
        return u, sigma.square(), lambda u: model._score_at(u, t, batch.context)

    def _terms(self, score: Score, u: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """v' (ds/du) v and (v' s)^2 / 2 or |s|^2 / 2, each (B,), averaged over directions."""
        s = score(u).flatten(1)
        traces, norms = [], []
        for _ in range(self.directions):
            v = (rows.uniform(s.shape[1]) < 0.5).to(s.dtype) * 2 - 1
            along = (s * v).sum(1)
            (slope,) = torch.autograd.grad(along.sum(), u, create_graph=True)
            traces.append((slope.flatten(1) * v).sum(1))
            norms.append(s.square().sum(1) if self.variance_reduced else along.square())
        return torch.stack(traces).mean(0), torch.stack(norms).mean(0) / 2
