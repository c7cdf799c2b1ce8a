"""Fréchet distance of features: how far apart the two Gaussians with the features' moments are.

    d^2 = |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^1/2 S2 S1^1/2)^1/2

the squared 2-Wasserstein distance between N(m1, S1) and N(m2, S2) (Dowson and Landau 1982; "FID" in Inception features,
Heusel et al. 2017, arXiv:1706.08500). The last trace is the sum of square roots of the eigenvalues of a *symmetric*
matrix, which exists for singular covariances too, where the square root of the unsymmetric product S1 S2 loses digits
or turns complex.

It sees two moments and no more: laws with equal mean and covariance are at 0. Its estimate is biased upward by about
c / n with a c that depends on the law, so figures compare only at equal sizes and beside the floor of fresh data; with
n <= F the covariance is singular and the bias large (a warning). The standard error is the delta method's,

    psi(x) = 2 (m1 - m2).(x - m1) + (x - m1)^T (1 - T) (x - m1),   T = S1^-1/2 (S1^1/2 S2 S1^1/2)^1/2 S1^-1/2

summed over both sides as var psi / n: first order, hence too small where the two laws nearly agree.
"""

import warnings
from typing import Any

import torch
from torch import Tensor

from fairway.metrics.estimate import Estimate
from fairway.metrics.features.extractor import Extractor, both, protocol_of, raw

EPS = torch.finfo(torch.float64).eps


def frechet(samples: Any, data: Any, extractor: Extractor = raw, *, split: str = "") -> Estimate:
    """Squared Fréchet distance between the features of samples (n, *E) and of data (m, *E), in squared feature units.

    Args:
        split: what the data rows are ("test", "train"), for the protocol.

    Raises:
        ValueError: rows that do not fit each other or the extractor.

    >>> x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    >>> round(frechet(x + 3, x).value, 6)
    18.0
    """
    a, b = both(samples, data, extractor)
    n, m, dims = len(a), len(b), a.shape[1]
    moments = a.mean(0), covariance(a), b.mean(0), covariance(b)
    enough = min(n, m) > dims
    if not enough:
        warnings.warn(
            f"Fréchet distance of {dims} features from {min(n, m)} rows: the covariance is singular and the distance "
            f"biased upward; take more rows than features, or kernel_distance",
            stacklevel=2,
        )
    return Estimate(
        frechet_of_moments(*moments),
        standard_error=_standard_error(a, b, moments) if enough else float("nan"),
        method="estimate", unit="squared feature units", n=(n, m), protocol=protocol_of(extractor, n, m, split=split),
        info={"features": dims},
    )  # fmt: skip


def frechet_of_moments(m1: Tensor, s1: Tensor, m2: Tensor, s2: Tensor) -> float:
    """d^2 between N(m1, s1) and N(m2, s2): means (F,), covariances (F, F), any of them singular.

    >>> zero, one = torch.zeros(2), torch.eye(2)
    >>> frechet_of_moments(zero, one, zero, 9 * one)  # (3 - 1)^2 per dimension
    8.0
    """
    m1, s1, m2, s2 = (part.double() for part in (m1, s1, m2, s2))
    cross = root_trace(root(s1) @ s2 @ root(s1))
    return max(float((m1 - m2).square().sum() + s1.trace() + s2.trace() - 2 * cross), 0.0)


def covariance(x: Tensor) -> Tensor:
    """Unbiased covariance (F, F) of rows (n, F)."""
    centred = x - x.mean(0)
    return centred.T @ centred / (len(x) - 1)


def spectrum(s: Tensor) -> Tensor:
    """Eigenvalues of a positive semi-definite matrix; what rounding left below F eps times the largest is 0, since its
    square root would not be small."""
    values = torch.linalg.eigvalsh((s + s.T) / 2)
    return torch.where(values > len(s) * EPS * values.max(), values, 0.0)


def root_trace(s: Tensor) -> Tensor:
    """tr s^1/2 of a positive semi-definite matrix."""
    return spectrum(s).sqrt().sum()


def root(s: Tensor, power: float = 0.5) -> Tensor:
    """s^power of a positive semi-definite matrix, on its range (power -1/2: the root of the pseudo-inverse)."""
    values, vectors = torch.linalg.eigh((s + s.T) / 2)
    kept = values > len(s) * EPS * values.max()
    return (vectors[:, kept] * values[kept] ** power) @ vectors[:, kept].T


def _standard_error(a: Tensor, b: Tensor, moments: tuple[Tensor, ...]) -> float:
    m1, s1, m2, s2 = moments
    return float((_influence(a, m1, s1, m2, s2).var() / len(a) + _influence(b, m2, s2, m1, s1).var() / len(b)).sqrt())


def _influence(x: Tensor, m1: Tensor, s1: Tensor, m2: Tensor, s2: Tensor) -> Tensor:
    """psi (n,): how much d^2 moves with the weight of each row, up to a constant."""
    half, inverse = root(s1), root(s1, -0.5)
    transport = inverse @ root(half @ s2 @ half) @ inverse
    centred = x - m1
    return 2 * centred @ (m1 - m2) + (centred * (centred - centred @ transport)).sum(1)
