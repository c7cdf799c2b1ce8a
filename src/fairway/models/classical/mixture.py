"""Mixtures of Gaussians: p(u) = sum_k w_k N(u; m_k, S_k).

Each component is held by the Cholesky factor L of its precision, S^-1 = L L', so that a density needs no solve:

    log N(u; m, S) = -|L'(u - m)|^2 / 2 + sum_i log L_ii - (D/2) log 2 pi
    draw           = m + L'^-1 e,  e ~ N(0, I)

Marginals and conditionals of Gaussians are Gaussian (Bishop 2006, eq. 2.81 and 2.82), hence exact for mixtures too:
with observed entries o and missing entries m, component k of p(u_m | u_o) has weight proportional to
w_k N(u_o; m_ko, S_koo), mean m_km + S_kmo S_koo^-1 (u_o - m_ko), covariance S_kmm - S_kmo S_koo^-1 S_kom.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from fairway.core.capability import HasConditional, HasLogProb, HasSample
from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.numerics import LOG_2PI
from fairway.core.objective import Solver
from fairway.core.preprocessing import Preprocessing, dequantised
from fairway.core.random import Rows
from fairway.objectives.em import EM
from fairway.objectives.em_gaps import patterns

Covariance = Literal["full", "tied", "diagonal", "spherical"]


class GMM(HasLogProb, HasSample, HasConditional, Model):
    """A mixture of Gaussians on flattened observations.

    Args:
        event, context_event: see `Model` (no context).
        components: number of Gaussians.
        covariance: full, tied (one full matrix for all), diagonal or spherical.

    >>> GMM(Event((2,)), components=3).sample(5, generator=0).shape
    torch.Size([5, 2])
    """

    cites: ClassVar[tuple[str, ...]] = ("dempster1977em", "arthur2007kmeanspp")
    tiny = [
        Case(Event((2,)), None, {"components": 2}),
        Case(Event((2, 2), "integer", low=0, high=5), None, {"components": 2, "covariance": "tied"}),
        Case(Event((2,), missing=True), None, {"components": 2, "covariance": "diagonal"}),
        Case(Event((3,), "positive"), None, {"components": 2, "covariance": "spherical"}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        components: int = 10,
        covariance: Covariance = "full",
    ) -> None:
        super().__init__(event, context_event)
        if components < 1:
            raise ValueError(f"expected components as a positive integer, got {components}")
        if covariance not in ("full", "tied", "diagonal", "spherical"):
            raise ValueError(f"expected covariance full, tied, diagonal or spherical, got {covariance!r}")
        self.components, self.covariance, self.dims = components, covariance, self.model_event.dims
        shared = 1 if covariance == "tied" else components
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.randn(components, self.dims))
        self.log_diagonal = nn.Parameter(torch.zeros(shared, 1 if covariance == "spherical" else self.dims))
        self.lower = nn.Parameter(torch.zeros(shared, self.dims, self.dims)) if covariance in ("full", "tied") else None

    def preprocessing(self, event: Event) -> Preprocessing:
        return dequantised(event) if event.counted else super().preprocessing(event)

    def default_objective(self) -> Solver:
        return EM()

    @property
    def strokes(self) -> float:
        """No network at all."""
        return 0.0

    # -- components ---------------------------------------------------------------------------------------------
    def precision_factors(self) -> Tensor:
        """(K, D, D) lower triangular L with S^-1 = L L'."""
        diagonal = self.log_diagonal.exp().expand(-1, self.dims)
        factors = torch.diag_embed(diagonal)
        if self.lower is not None:
            factors = factors + torch.tril(self.lower, -1)
        return factors.expand(self.components, -1, -1)

    def covariances(self) -> Tensor:
        """(K, D, D) covariance matrices, model units."""
        inverse = torch.linalg.solve_triangular(self.precision_factors(), self._eye(), upper=False)
        return inverse.mT @ inverse

    @torch.no_grad()
    def set_components(self, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        """Set weights (K,), means (K, D) and covariances, of the form `covariance` says.

        Args:
            weights, means: of the components.
            covariances: (K, D, D); one (1, D, D) where they are tied; variances (K, D) where they are diagonal.

        Raises:
            torch.linalg.LinAlgError: a covariance that is not positive definite.
        """
        shared, width = self.log_diagonal.shape
        if covariances.ndim == 2 and not bool((covariances > 0).all()):
            raise torch.linalg.LinAlgError("a variance is not positive")
        factors = None if covariances.ndim == 2 else _precision_factor(covariances.double()[:shared])
        diagonal = covariances.double().rsqrt() if factors is None else torch.diagonal(factors, dim1=1, dim2=2)
        self.logits.copy_(weights.clamp(min=1e-30).log())
        self.means.copy_(means)
        self.log_diagonal.copy_(diagonal.log()[:, :width])
        if self.lower is not None:
            self.lower.copy_(torch.zeros_like(self.lower) if factors is None else factors.tril(-1))

    def _eye(self) -> Tensor:
        return torch.eye(self.dims, dtype=self.means.dtype, device=self.means.device)

    def log_joint(self, u: Tensor) -> Tensor:
        """(B, *U) -> (B, K): log w_k + log N(u; m_k, S_k)."""
        x = u.flatten(1)
        if self.lower is None:
            scaled = (x.unsqueeze(1) - self.means) * self.log_diagonal.exp()
            square, log_det = scaled.square().sum(2), self.log_diagonal.expand(-1, self.dims).sum(1)
        else:
            factors, middle = self.precision_factors(), self.means.detach().mean(0)  # far from 0 the difference of
            centre = torch.einsum("kd,kde->ke", self.means - middle, factors).unsqueeze(1)  # products loses digits
            projected = torch.einsum("nd,kde->kne", x - middle, factors) - centre
            square, log_det = projected.square().sum(2).T, self.log_diagonal.sum(1)
        return self.logits.log_softmax(0) + log_det - 0.5 * square - 0.5 * self.dims * LOG_2PI

    # -- answers ------------------------------------------------------------------------------------------------
    def _log_prob(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self.log_joint(u).logsumexp(1)

    def _sample(self, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        component = _pick(self.logits.log_softmax(0).expand(n, -1), rows.uniform())
        noise, factors = rows.normal(self.dims), self.precision_factors()
        u = torch.empty_like(noise)
        for k in range(self.components):  # one factor at a time: (n, D, D) would not fit for images
            chosen = (component == k).nonzero().squeeze(1)
            spread = torch.linalg.solve_triangular(factors[k].mT, noise[chosen].mT, upper=True)
            u[chosen] = self.means[k] + spread.mT
        return u.reshape(n, *self.model_event.shape)  # type: ignore[arg-type]

    def _log_marginal(self, u: Tensor, observed: Tensor, context: Tensor | None = None) -> Tensor:
        return self.log_joint_observed(u.flatten(1), observed.flatten(1)).logsumexp(1)

    def _complete(self, u: Tensor, observed: Tensor, context: Tensor | None, rows: Rows) -> Tensor:
        x, seen = u.flatten(1), observed.flatten(1)
        component = _pick(self.log_joint_observed(x, seen).log_softmax(1), rows.uniform())
        noise, out, covariances = rows.normal(self.dims), x.clone(), self.covariances()
        for pattern, index in patterns(seen):
            for k in component[index].unique().tolist() if not bool(pattern.all()) else ():
                chosen = index[component[index] == k]
                mean, covariance = self.conditional_of(k, x[chosen], pattern, covariances[k])
                spread = noise[chosen][:, ~pattern] @ torch.linalg.cholesky(covariance).mT
                out[chosen.unsqueeze(1), (~pattern).nonzero().squeeze(1)] = mean + spread
        return out.reshape(u.shape)

    # -- subsets of the entries ---------------------------------------------------------------------------------
    def log_joint_observed(self, x: Tensor, observed: Tensor) -> Tensor:
        """x (B, D), observed (B, D) -> (B, K): log w_k + log N(x_o; m_ko, S_koo)."""
        covariances, out = self.covariances(), x.new_zeros(len(x), self.components)
        for pattern, index in patterns(observed):
            block = covariances[:, pattern][:, :, pattern]
            factor = torch.linalg.cholesky(block)
            centred = (x[index][:, pattern] - self.means[:, pattern].unsqueeze(1)).mT  # (K, o, B)
            white = torch.linalg.solve_triangular(factor, centred, upper=False)
            log_det = torch.diagonal(factor, dim1=1, dim2=2).log().sum(1)
            density = -0.5 * white.square().sum(1) - log_det.unsqueeze(1) - 0.5 * int(pattern.sum()) * LOG_2PI
            out = out.index_copy(0, index, density.T.to(out.dtype))
        return self.logits.log_softmax(0) + out

    def conditional_of(
        self, component: int, x: Tensor, observed: Tensor, covariance: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The law of the missing entries given the observed, within one component.

        Args:
            component: which one.
            x: (B, D) rows; what they hold where not observed is ignored.
            observed: (D,) booleans.
            covariance: (D, D) of the component, where it is known already.

        Returns:
            Mean (B, m) and covariance (m, m).
        """
        covariance = self.covariances()[component] if covariance is None else covariance
        block, cross = covariance[observed][:, observed], covariance[~observed][:, observed]
        gain = torch.linalg.solve(block, cross.mT).mT if bool(observed.any()) else cross
        mean = self.means[component]
        shift = (x[:, observed] - mean[observed]) @ gain.mT
        return mean[~observed] + shift, covariance[~observed][:, ~observed] - gain @ cross.mT


def _precision_factor(covariances: Tensor) -> Tensor:
    """(K, D, D) S -> lower triangular L with S^-1 = L L'.

    Reversing the order of the entries turns the Cholesky factor of the reversed S into an upper triangular U with
    S = U U'; then L = U'^-1, and S^-1 is never formed.
    """
    upper = torch.linalg.cholesky(covariances.flip(1, 2)).flip(1, 2)
    eye = torch.eye(covariances.shape[1], dtype=covariances.dtype, device=covariances.device)
    return torch.linalg.solve_triangular(upper, eye, upper=True).mT


def _pick(log_weights: Tensor, uniform: Tensor) -> Tensor:
    """(B, K) log probabilities and (B,) uniforms -> (B,) components, by inversion."""
    cumulative = log_weights.exp().cumsum(1)
    return (uniform.unsqueeze(1) * cumulative[:, -1:] > cumulative).sum(1).clamp(max=log_weights.shape[1] - 1)
