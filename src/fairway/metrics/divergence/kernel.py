"""Kernel distances of two sets of rows: squared MMD and energy distance (Gretton et al. 2012; Szekely and Rizzo 2013).

    D(P, Q) = E k(x, x') + E k(y, y') - 2 E k(x, y)             x, x' ~ P and y, y' ~ Q, independent

    MMD^2        k(u, v) = mean over c in {1/4, 1/2, 1, 2, 4} of exp(-|u - v|^2 / (2 c h^2))       pure number, [0, 2]
    energy       k(u, v) = -|u - v|                                                      in the units of the rows

h is the median distance within the reference set (a mixture needs no better guess), so that numbers against one
reference compare. `unbiased` leaves a row's pair with itself out: the mean is right at any size, and values below 0
occur; with these pairs the value is a squared distance of the two sets themselves, biased upward for their laws.
Both are U-statistics, so the variance has Hoeffding's parts: that of the row means a_i = E k(x_i, x') - E k(x_i, y),
and that of the centred kernel, which alone is left when the laws are equal. Pairs are visited in blocks.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairway.metrics.divergence.rows import rows_of, two_sets
from fairway.metrics.estimate import Estimate

Kernel = Callable[[Tensor, Tensor], Tensor]
SIDE = 256  # of a block: half a megabyte, which stays in the cache
MEDIAN_ROWS = 1000  # enough for a median of half a million distances


class _Means(NamedTuple):
    """Row means (n,), column means (m,), overall mean and mean square of a kernel over pairs."""

    rows: Tensor
    columns: Tensor
    mean: float
    square: float

    @property
    def spread(self) -> float:
        """Mean square of the kernel after rows and columns are centred."""
        return max(self.square - float(self.rows.square().mean() + self.columns.square().mean()) + self.mean**2, 0.0)


def squared_mmd(x: Any, reference: Any, *, bandwidth: float | None = None, unbiased: bool = True) -> Estimate:
    """Squared maximum mean discrepancy under five Gaussian kernels.

    Args:
        x, reference: (n, *E) and (m, *E), two rows or more each.
        bandwidth: h, in the units of the rows; None for the median distance within the reference.
        unbiased: leave out a row's pair with itself.

    Returns:
        The estimate with its standard error; the bandwidth is part of the protocol.

    Raises:
        ValueError: rows that do not match, a bandwidth not above 0.

    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> squared_mmd(x, x + 1).value > 0.1
    True
    """
    a, b = two_sets(x, reference, least=2)
    h = median_distance(b) if bandwidth is None else bandwidth
    if not h > 0:
        raise ValueError(f"expected a bandwidth above 0, got {h}; where half of the reference's rows agree, give one")
    protocol = f"Gaussian kernels, bandwidth {h:.6g}"
    return kernel_distance(a, b, gaussian_kernel(h), unbiased=unbiased, protocol=protocol)


def energy_distance(x: Any, y: Any, *, unbiased: bool = True) -> Estimate:
    """2 E|x - y| - E|x - x'| - E|y - y'|, in the units of the rows.

    Args:
        x, y: (n, *E) and (m, *E), two rows or more each.
        unbiased: leave out a row's pair with itself.

    Raises:
        ValueError: rows that do not match.

    >>> energy_distance([[0.0], [0.0]], [[3.0], [3.0]]).value
    6.0
    """
    found = kernel_distance(x, y, lambda u, v: -torch.cdist(u, v), unbiased=unbiased, protocol="energy")
    return Estimate(**{**vars(found), "unit": "data units"})


def kernel_distance(x: Any, y: Any, kernel: Kernel, *, unbiased: bool = True, protocol: str = "") -> Estimate:
    """D above under any kernel (u (a, D), v (b, D)) -> (a, b), symmetric.

    Args:
        x, y: (n, *E) and (m, *E), two rows or more each; the kernel sees them centred at the mean of y.
        unbiased: leave out a row's pair with itself.
        protocol: what the kernel is, in words.
    """
    a, b = two_sets(x, y, least=2)
    centre = b.mean(0)  # distances far from the origin lose digits
    a, b = a - centre, b - centre
    n, m = len(a), len(b)
    xx, yy, xy = _means(a, a, kernel), _means(b, b, kernel), _means(a, b, kernel)
    apart_x, apart_y = _without_self(xx, a, kernel), _without_self(yy, b, kernel)
    own_x, own_y = (apart_x, apart_y) if unbiased else (xx, yy)
    value = own_x.mean + own_y.mean - 2 * xy.mean
    variance = 2 * apart_x.spread / (n * (n - 1)) + 2 * apart_y.spread / (m * (m - 1)) + 4 * xy.spread / (n * m)
    of_means = 4 / n * (float((apart_x.rows - xy.rows).var()) - apart_x.spread / (n - 1) - xy.spread / m)
    of_means += 4 / m * (float((apart_y.rows - xy.columns).var()) - apart_y.spread / (m - 1) - xy.spread / n)
    variance += max(of_means, 0.0)  # less the noise of the row means themselves
    protocol = ", ".join(part for part in (protocol, "unbiased" if unbiased else "biased") if part)
    return Estimate(value, math.sqrt(variance), method="estimate", n=(n, m), protocol=protocol)


def median_distance(reference: Any) -> float:
    """The median distance between two rows (m, *E), over the first thousand."""
    rows = rows_of(reference, "reference")[:MEDIAN_ROWS]
    return float(torch.pdist(rows).median()) if len(rows) > 1 else 0.0


def gaussian_kernel(h: float) -> Kernel:
    """The mean of five kernels, each the square of the one before: a single exponential per pair."""

    def kernel(u: Tensor, v: Tensor) -> Tensor:
        norms = u.square().sum(1, keepdim=True) + v.square().sum(1)
        squares = torch.addmm(norms, u, v.mT, alpha=-2).clamp_(min=0)
        widest = squares.mul_(-1 / (8 * h * h)).exp_()
        total = widest.clone()
        for _ in range(4):
            total += widest.square_()
        return total.div_(5)

    return kernel


def _means(x: Tensor, y: Tensor, kernel: Kernel) -> _Means:
    """Means over all pairs, in blocks."""
    rows, columns, square = torch.zeros(len(x)).double(), torch.zeros(len(y)).double(), 0.0
    for i, u in enumerate(x.split(SIDE)):
        for j, v in enumerate(y.split(SIDE)):
            k = kernel(u, v)
            rows[i * SIDE : (i + 1) * SIDE] += k.sum(1) / len(y)
            columns[j * SIDE : (j + 1) * SIDE] += k.sum(0) / len(x)
            square += float(k.flatten() @ k.flatten()) / (len(x) * len(y))
    return _Means(rows, columns, float(rows.mean()), square)


def _without_self(means: _Means, x: Tensor, kernel: Kernel) -> _Means:
    """The same means over pairs of two different rows."""
    n = len(x)
    own = torch.cat([kernel(block, block).diagonal() for block in x.split(SIDE)])
    rows = (n * means.rows - own) / (n - 1)
    square = (n * means.square - float(own.square().mean())) / (n - 1)
    return _Means(rows, rows, float(rows.mean()), square)
