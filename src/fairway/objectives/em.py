"""Expectation maximisation for mixtures of Gaussians (Dempster, Laird and Rubin 1977).

    E: r_nk = w_k N(u_n; m_k, S_k) / sum_j w_j N(u_n; m_j, S_j)
    M: N_k = sum_n r_nk,  m_k = sum_n r_nk u_n / N_k,
       S_k = (sum_n r_nk (u_n - m_k)(u_n - m_k)' + a S_0) / (N_k + a) + floor I

The log-likelihood never falls (with a = 0). With a > 0 the step maximises the posterior under an inverse Wishart prior
at S_0, the covariance within the clusters of the start: it keeps components with fewer rows than dimensions from
collapsing. Start: k-means++ and ten rounds of k-means, or the components that the model has.

Both steps together are one pass over the rows: see `em_features` (few dimensions), `em_centred` (many, or narrow
components) and `em_gaps` (missing entries). Where processes share the rows, the sums are those over all of them.
"""

import math
import weakref
from typing import Any, Literal

import torch
from torch import Tensor

from fairway.core.capability import HasLogProb
from fairway.core.objective import Batch, Solver
from fairway.core.random import Rows
from fairway.objectives import em_centred
from fairway.objectives.em_features import Features, pays, whitening
from fairway.objectives.em_gaps import with_gaps
from fairway.objectives.em_sums import Moments, diagonal
from fairway.objectives.k_means import k_means


class EM(Solver):
    """EM over all rows.

    Args:
        iterations: the limit.
        tolerance: stop when the log-likelihood per entry gains less than this, nats.
        prior: a, in rows (0 for maximum likelihood; None for half a row per dimension).
        floor: added to every variance, in model units (data are standardised to 1).
        start: "kmeans", or "model" to go on from the components that the model has.
    """

    requires = (HasLogProb,)
    gain: Tensor
    previous: Tensor
    pooled: Tensor
    centre: Tensor
    factor: Tensor

    def __init__(
        self,
        iterations: int = 200,
        tolerance: float = 1e-5,
        prior: float | None = None,
        floor: float = 1e-6,
        start: Literal["kmeans", "model"] = "kmeans",
    ) -> None:
        super().__init__()
        if start not in ("kmeans", "model"):
            raise ValueError(f"expected start as kmeans or model, got {start!r}")
        self.iterations, self.tolerance, self.prior, self.floor = iterations, tolerance, prior, floor
        self.goes_on = start == "model"
        self._kept: _Kept | None = None
        self.register_buffer("gain", torch.tensor(math.inf, dtype=torch.float64))
        self.register_buffer("previous", torch.tensor(-math.inf, dtype=torch.float64))
        for name in ("pooled", "centre", "factor"):  # measured by `start`; sizes follow the data
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64))

    def check(self, model: Any) -> None:
        """EM is written for mixtures of Gaussians.

        Raises:
            TypeError: another model.
        """
        if not hasattr(model, "set_components"):
            raise TypeError(f"em learns mixtures of Gaussians (gmm, gaussian); got {model.name()}")

    # -- start --------------------------------------------------------------------------------------------------
    @torch.no_grad()
    def start(self, model: Any, data: Batch, rows: Rows) -> None:
        self.check(model)
        x = data.u.flatten(1)
        if len(x) < model.components:
            raise ValueError(f"expected at least as many rows as components ({model.components}), got {len(x)}")
        weight = torch.ones_like(x[:, 0]) if data.weight is None else data.weight.to(x.dtype)
        self.gain, self.previous = torch.full_like(self.gain, math.inf), torch.full_like(self.previous, -math.inf)
        self._measure(model, x, weight, gaps=data.observed is not None)
        if self.goes_on:
            self.pooled = _within(model)
        else:
            self._cluster(model, x, weight, rows.shared())

    def _measure(self, model: Any, x: Tensor, weight: Tensor, gaps: bool) -> None:
        """The whitening, where features pay; nothing else of the data is kept."""
        self.centre = self.factor = torch.zeros(0, dtype=torch.float64, device=x.device)
        if not gaps and pays(model.covariance, model.dims, model.components):
            self.centre, self.factor = whitening(x, weight, model.covariance)

    def _cluster(self, model: Any, x: Tensor, weight: Tensor, generator: torch.Generator) -> None:
        """Components of the clusters of k-means, about the mean of the rows: distances there lose no digits."""
        middle = (weight.double() @ x.double()) / weight.double().sum()
        x = (x.double() - middle).to(x.dtype)
        centres, label = k_means(x, weight, model.components, generator)
        sums = em_centred.sums_of_labels(model, x, weight, label, centres)
        self.pooled = sums.second.sum(0) / sums.weight
        moments = sums.moments()
        moments.means += centres + middle
        self._maximise(model, moments)

    # -- step ---------------------------------------------------------------------------------------------------
    @torch.no_grad()
    def step(self, model: Any, data: Batch) -> dict[str, float]:
        found = self._expect(model, data) if data.observed is None else with_gaps(model, data)
        mean = found[0] / model.dims
        self.gain, self.previous = mean - self.previous, mean
        self._maximise(model, found[1])
        return {"loss": -float(mean)}

    def done(self) -> bool:
        return abs(float(self.gain)) < self.tolerance

    def _expect(self, model: Any, data: Batch) -> tuple[Tensor, Moments]:
        """The mean log density and the moments, model units, over the rows of all processes."""
        if len(self.factor):
            features, y = self._whitened(data.u)
            theta, sharpness = features.parameters(model)
            if sharpness <= torch.finfo(y.dtype).eps ** -0.5:
                sums = features.sums(theta, y, data.weight).over_processes()
                return sums.log_prob / sums.weight, features.in_model_units(sums.moments())
        sums = em_centred.sums(model, data).over_processes()
        moments = sums.moments()
        moments.means += model.means
        return sums.log_prob / sums.weight, moments

    def _whitened(self, u: Tensor) -> tuple[Features, Tensor]:
        """The rows, whitened: a function of the rows and the buffers alone, kept from step to step."""
        if self._kept is None or not self._kept.of(u, self.factor):
            self._kept = _Kept(u, Features(self.centre, self.factor))
        return self._kept.features, self._kept.y

    def _maximise(self, model: Any, moments: Moments) -> None:
        """Weights, means and covariances from moments in model units."""
        weights = moments.count / moments.count.sum()
        model.set_components(weights, moments.means, self._covariances(model, moments))

    def _covariances(self, model: Any, moments: Moments) -> Tensor:
        """The covariances of the model's form; variances alone for diagonal ones."""
        prior, count, scatter = self.prior, moments.count, moments.scatter
        prior = model.dims / 2 if prior is None else prior
        if model.covariance == "tied":
            count, scatter = count.sum().reshape(1), scatter.sum(0, keepdim=True)
        covariance = (scatter + prior * self.pooled) / (count + prior).reshape(-1, *[1] * (scatter.ndim - 1))
        if model.covariance == "spherical":
            covariance = covariance.mean(1, keepdim=True).expand_as(covariance)
        if diagonal(model.covariance):
            return covariance + self.floor
        return covariance + self.floor * torch.eye(model.dims, dtype=covariance.dtype, device=covariance.device)


class _Kept:
    """Whitened rows, for as long as the rows and the whitening are the same."""

    def __init__(self, u: Tensor, features: Features) -> None:
        self.features, self.y = features, features.white(u.flatten(1))
        self._rows, self._versions = weakref.ref(u), (u._version, features.factor._version)

    def of(self, u: Tensor, factor: Tensor) -> bool:
        """Whether these are the rows under this whitening, neither changed in place."""
        same = self._rows() is u and self.features.factor is factor
        return same and self._versions == (u._version, factor._version)


def _within(model: Any) -> Tensor:
    """The covariance within the components of a model, (D, D), or its diagonal (D,)."""
    pooled = torch.tensordot(model.logits.double().softmax(0), model.covariances().double(), 1)
    return pooled.diagonal() if diagonal(model.covariance) else pooled
