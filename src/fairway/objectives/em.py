"""Expectation maximisation for mixtures of Gaussians (Dempster, Laird and Rubin 1977).

    E: r_nk = w_k N(u_n; m_k, S_k) / sum_j w_j N(u_n; m_j, S_j)
    M: N_k = sum_n r_nk,  m_k = sum_n r_nk u_n / N_k,
       S_k = (sum_n r_nk (u_n - m_k)(u_n - m_k)' + a S_0) / (N_k + a) + floor I

The log-likelihood never falls (with a = 0). With a > 0 the step maximises the posterior under an inverse Wishart prior
at S_0, the covariance within the clusters of the start: it keeps components with fewer rows than dimensions from
collapsing. Missing entries are replaced by their conditional means, and their conditional covariances
are added. Start: k-means++ (Arthur and Vassilvitskii 2007) and ten rounds of k-means.
"""

import math
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasLogProb
from fairway.core.objective import Batch, Solver
from fairway.core.random import Rows

LLOYD = 10


class EM(Solver):
    """EM over all rows.

    Args:
        iterations: the limit.
        tolerance: stop when the log-likelihood per entry gains less than this, nats.
        prior: a, in rows (0 for maximum likelihood; None for half a row per dimension).
        floor: added to every variance, in model units (data are standardised to 1).
    """

    requires = (HasLogProb,)
    gain: Tensor
    previous: Tensor
    pooled: Tensor

    def __init__(
        self, iterations: int = 200, tolerance: float = 1e-5, prior: float | None = None, floor: float = 1e-6
    ) -> None:
        super().__init__()
        self.iterations, self.tolerance, self.prior, self.floor = iterations, tolerance, prior, floor
        self.register_buffer("gain", torch.tensor(math.inf, dtype=torch.float64))
        self.register_buffer("previous", torch.tensor(-math.inf, dtype=torch.float64))
        self.register_buffer("pooled", torch.zeros(0, 0, dtype=torch.float64))

    def check(self, model: Any) -> None:
        """EM is written for mixtures of Gaussians.

        Raises:
            TypeError: another model.
        """
        if not hasattr(model, "set_components"):
            raise TypeError(f"em learns mixtures of Gaussians (gmm, gaussian); got {model.name()}")

    @torch.no_grad()
    def start(self, model: Any, data: Batch, rows: Rows) -> None:
        self.check(model)
        x = data.u.flatten(1)
        if len(x) < model.components:
            raise ValueError(f"expected at least as many rows as components ({model.components}), got {len(x)}")
        weight = _weights(data, x)
        centre, label = _kmeans(x, weight, model.components, rows.shared())
        self.pooled = _scatter((x - centre[label]) * weight.sqrt().unsqueeze(1)) / weight.sum()
        self.gain, self.previous = torch.full_like(self.gain, math.inf), torch.full_like(self.previous, -math.inf)
        membership = torch.nn.functional.one_hot(label, model.components).to(x.dtype)
        self._maximise(model, membership * weight.unsqueeze(1), [x] * model.components, None)

    @torch.no_grad()
    def step(self, model: Any, data: Batch) -> dict[str, float]:
        x, observed = data.u.flatten(1), None if data.observed is None else data.observed.flatten(1)
        joint = model.log_joint(x) if observed is None else model.log_joint_observed(x, observed)
        log_prob = joint.logsumexp(1)
        weight = (joint - log_prob.unsqueeze(1)).exp() * _weights(data, x).unsqueeze(1)
        completed, spread = (
            ([x] * model.components, None) if observed is None else _complete(model, x, observed, weight)
        )
        mean = data.mean(log_prob).double() / model.dims
        self.gain, self.previous = mean - self.previous, mean
        self._maximise(model, weight, completed, spread)
        return {"loss": -float(mean)}

    def done(self) -> bool:
        return abs(float(self.gain)) < self.tolerance

    def _maximise(self, model: Any, weight: Tensor, completed: list[Tensor], spread: Tensor | None) -> None:
        """Weights, means and covariances from what rows count for (n, K) and completed rows (n, D) per component."""
        count = weight.sum(0).clamp(min=1e-10)
        means = torch.stack([weight[:, k] @ x / count[k] for k, x in enumerate(completed)])
        centred = [(x - means[k]) * weight[:, k : k + 1].sqrt() for k, x in enumerate(completed)]
        scatter = torch.stack([_scatter(x) for x in centred])
        scatter = scatter if spread is None else scatter + spread
        model.set_components(count / count.sum(), means, self._covariances(model, scatter, count))

    def _covariances(self, model: Any, scatter: Tensor, count: Tensor) -> Tensor:
        """The covariances of the model's form."""
        pooled = self.pooled.to(scatter.dtype)
        prior = model.dims / 2 if self.prior is None else self.prior
        if model.covariance == "tied":
            total = (scatter.sum(0) + prior * pooled) / (count.sum() + prior)
            scatter_k = total.expand_as(scatter)
        else:
            scatter_k = (scatter + prior * pooled) / (count + prior).reshape(-1, 1, 1)
        if model.covariance in ("diagonal", "spherical"):
            variance = torch.diagonal(scatter_k, dim1=1, dim2=2)
            if model.covariance == "spherical":
                variance = variance.mean(1, keepdim=True).expand_as(variance)
            scatter_k = torch.diag_embed(variance)
        return scatter_k + self.floor * torch.eye(model.dims, dtype=scatter.dtype, device=scatter.device)


def patterns(observed: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The distinct masks of (B, D) booleans, each with the rows that have it."""
    masks, which, counts = torch.unique(observed, dim=0, return_inverse=True, return_counts=True)
    return list(zip(masks, which.argsort(stable=True).split(counts.tolist()), strict=True))


def _weights(data: Batch, x: Tensor) -> Tensor:
    return torch.ones_like(x[:, 0]) if data.weight is None else data.weight.to(x.dtype)


def _scatter(x: Tensor) -> Tensor:
    return x.mT @ x


def _complete(model: Any, x: Tensor, observed: Tensor, weight: Tensor) -> tuple[list[Tensor], Tensor]:
    """Rows with conditional means filled in, per component, and the conditional covariances they leave out (K, D, D).

    Args:
        x, observed: (n, D).
        weight: (n, K) what a row counts for in a component.
    """
    completed, covariances = [x.clone() for _ in range(model.components)], model.covariances()
    spread = x.new_zeros(model.components, model.dims, model.dims)
    for pattern, index in patterns(observed):
        missing = (~pattern).nonzero().squeeze(1)
        for k in range(model.components if len(missing) else 0):
            mean, covariance = model.conditional_of(k, x[index], pattern, covariances[k])
            completed[k][index.unsqueeze(1), missing] = mean
            spread[k][missing.unsqueeze(1), missing] += weight[index, k].sum() * covariance
    return completed, spread


def _kmeans(x: Tensor, weight: Tensor, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Centres (k, D) and labels (n,) after k-means++ and a few rounds of k-means on weighted rows."""
    centre = _plus_plus(x, weight, k, generator)
    for _ in range(LLOYD):
        label = torch.cdist(x, centre).argmin(1)
        sums = torch.zeros_like(centre).index_add_(0, label, x * weight.unsqueeze(1))
        count = torch.zeros_like(centre[:, 0]).index_add_(0, label, weight).unsqueeze(1)
        centre = torch.where(count > 0, sums / torch.where(count > 0, count, 1.0), centre)
    return centre, torch.cdist(x, centre).argmin(1)


def _plus_plus(x: Tensor, weight: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Each new centre is drawn with probability proportional to the squared distance to the nearest one so far."""
    chosen = [_draw(weight, generator)]
    distance = (x - x[chosen[0]]).square().sum(1)
    for _ in range(1, k):
        chosen.append(_draw(distance * weight, generator))
        distance = torch.minimum(distance, (x - x[chosen[-1]]).square().sum(1))
    return x[chosen]


def _draw(weight: Tensor, generator: torch.Generator) -> int:
    """An index with probability proportional to its weight."""
    total = weight.double().cpu().cumsum(0)
    draw = torch.rand((), generator=generator, dtype=torch.float64) * total[-1]
    return int(torch.searchsorted(total, draw, right=True).clamp(max=len(weight) - 1))
