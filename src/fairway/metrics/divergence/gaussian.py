"""Closed forms between two Gaussians P = N(m, S) and Q = N(n, T) on R^D, full covariances.

    KL(P || Q)     = (tr T^-1 S + (n - m)' T^-1 (n - m) - D + log |T| - log |S|) / 2                       nats
    W2(P, Q)^2     = |m - n|^2 + tr(S + T - 2 (S^1/2 T S^1/2)^1/2)                   (Dowson and Landau 1982)
    Bhattacharyya  = (n - m)' M^-1 (n - m) / 8 + log |M| / 2 - log |S| / 4 - log |T| / 4,  M = (S + T) / 2  nats
    Hellinger^2    = 1 - exp(-Bhattacharyya)

The trace of the root is a sum of square roots of the eigenvalues of a symmetric matrix: no square root of a product
that is not symmetric, whose imaginary rounding must be thrown away. W2 takes singular covariances; the others refuse.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.metrics.divergence.rows import rows_of
from fairway.metrics.estimate import Estimate


class Gaussian(NamedTuple):
    """N(mean (D,), covariance (D, D)), float64."""

    mean: Tensor
    covariance: Tensor


def gaussian(mean: Any, covariance: Any) -> Gaussian:
    """A Gaussian from any array-likes.

    Args:
        mean: (D,), or a number on the line.
        covariance: (D, D) symmetric, or (D,) variances of independent entries.

    Raises:
        ValueError: shapes that do not fit, a covariance that is not symmetric or has an eigenvalue below 0.

    >>> gaussian([0, 0], [1, 4]).covariance.diagonal().tolist()
    [1.0, 4.0]
    """
    m = torch.atleast_1d(as_tensor(mean, "mean").detach().double().cpu())
    s = torch.atleast_1d(as_tensor(covariance, "covariance").detach().double().cpu())
    s = torch.diag(s) if s.ndim == 1 else s
    if m.ndim != 1 or s.shape != (len(m), len(m)):
        raise ValueError(f"expected mean (D,) and covariance (D, D) or (D,), got {tuple(m.shape)} and {tuple(s.shape)}")
    scale = float(s.diagonal().abs().max())
    if not torch.allclose(s, s.mT, atol=1e-8 * scale) or float(torch.linalg.eigvalsh(s)[0]) < -1e-8 * scale:
        raise ValueError("expected a symmetric covariance without negative eigenvalues; got another matrix")
    return Gaussian(m, (s + s.mT) / 2)


def gaussian_of(x: Any) -> Gaussian:
    """The Gaussian with the mean and the unbiased covariance of rows x (n, *E), n of at least 2."""
    rows = rows_of(x)
    if len(rows) < 2:
        raise ValueError(f"expected at least two rows for a covariance, got {len(rows)}")
    return Gaussian(rows.mean(0), torch.atleast_2d(torch.cov(rows.mT)))


def gaussian_kl(p: Gaussian, q: Gaussian) -> Estimate:
    """KL(P || Q) in nats.

    Raises:
        ValueError: other dimensions, a singular covariance.

    >>> gaussian_kl(gaussian(0, 1), gaussian(1, 1)).value
    0.5
    """
    _same(p, q)
    factor_p, factor_q = _cholesky(p.covariance), _cholesky(q.covariance)
    trace = torch.linalg.solve_triangular(factor_q, factor_p, upper=False).square().sum()
    value = (trace + _mahalanobis(p.mean - q.mean, factor_q) - len(p.mean)) / 2 + (_half(factor_q) - _half(factor_p))
    return Estimate(max(float(value), 0.0), unit="nats")


def gaussian_jeffreys(p: Gaussian, q: Gaussian) -> Estimate:
    """KL(P || Q) + KL(Q || P) in nats."""
    return Estimate(gaussian_kl(p, q).value + gaussian_kl(q, p).value, unit="nats")


def gaussian_bhattacharyya(p: Gaussian, q: Gaussian) -> Estimate:
    """-log of the overlap, the integral of sqrt(p q), in nats."""
    _same(p, q)
    middle = _cholesky((p.covariance + q.covariance) / 2)
    halves = _half(_cholesky(p.covariance)) + _half(_cholesky(q.covariance))
    value = _mahalanobis(p.mean - q.mean, middle) / 8 + _half(middle) - halves / 2
    return Estimate(max(float(value), 0.0), unit="nats")


def gaussian_squared_hellinger(p: Gaussian, q: Gaussian) -> Estimate:
    """1 less the integral of sqrt(p q), in [0, 1]."""
    return Estimate(-math.expm1(-gaussian_bhattacharyya(p, q).value))


def gaussian_w2(p: Gaussian, q: Gaussian) -> Estimate:
    """The Wasserstein-2 distance, in data units (its square is the Frechet distance of two sets of features).

    >>> gaussian_w2(gaussian([0, 0], [1, 1]), gaussian([3, 4], [1, 1])).value
    5.0
    """
    _same(p, q)
    values, vectors = torch.linalg.eigh(p.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.mT
    cross = torch.linalg.eigvalsh(root @ q.covariance @ root).clamp(min=0).sqrt().sum()
    spread = p.covariance.trace() + q.covariance.trace() - 2 * cross
    square = float((p.mean - q.mean).square().sum()) + max(float(spread), 0.0)
    return Estimate(math.sqrt(square), unit="data units")


def _same(p: Gaussian, q: Gaussian) -> None:
    if p.mean.shape != q.mean.shape:
        raise ValueError(f"expected two Gaussians of one dimension, got {len(p.mean)} and {len(q.mean)}")


def _cholesky(covariance: Tensor) -> Tensor:
    factor, failed = torch.linalg.cholesky_ex(covariance)
    if bool(failed):
        raise ValueError(
            "expected a covariance of full rank, got a singular one; drop constant columns or add variance"
        )
    return factor


def _mahalanobis(difference: Tensor, factor: Tensor) -> Tensor:
    """d' S^-1 d with S = L L'."""
    return torch.linalg.solve_triangular(factor, difference.unsqueeze(1), upper=False).square().sum()


def _half(factor: Tensor) -> Tensor:
    """log |S| / 2."""
    return factor.diagonal().log().sum()
