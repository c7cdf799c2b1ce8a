"""Kernel distance of features: the squared maximum mean discrepancy under the cubic kernel, unbiased.

    k(x, y) = (x.y / F + 1)^3
    MMD^2   = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

("KID" in Inception features: Bińkowski et al. 2018, arXiv:1801.01401.) Its mean is 0 for two sets from one law at any
n, so unlike the Fréchet distance it needs no large n, and single values may be negative. It sees the first three
moments of the features. All pairs are used, in blocks, where it is customary to average over random subsets: the same
quantity with less noise, and nothing drawn. Standard error: the first-order (Hoeffding) projection of the U-statistic,
each row's mean difference of kernels

    h(x_i) = mean_j k(x_i, x_j) - mean_j k(x_i, y_j)      s.e.^2 = 4 var h(x) / n + 4 var h(y) / m

which is a little too large where the two laws agree.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.metrics.estimate import Estimate
from fairway.metrics.features.extractor import Extractor, both, protocol_of, raw

BLOCK = 1000  # rows of the kernel matrix at once


def kernel_distance(samples: Any, data: Any, extractor: Extractor = raw, *, split: str = "") -> Estimate:
    """Unbiased squared MMD between the features of samples (n, *E) and of data (m, *E), cubic kernel.

    Args:
        split: what the data rows are, for the protocol.

    Raises:
        ValueError: rows that do not fit each other or the extractor.

    >>> x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    >>> kernel_distance(x[:200] + 1, x[200:]).value > 5 > abs(kernel_distance(x[:200], x[200:]).value)
    True
    """
    a, b = both(samples, data, extractor)
    n, m = len(a), len(b)
    across_a, across_b = mean_kernels(a, b)
    from_a, from_b = mean_kernel_within(a) - across_a, mean_kernel_within(b) - across_b
    return Estimate(
        float(from_a.mean() + from_b.mean()),
        standard_error=float((4 * from_a.var() / n + 4 * from_b.var() / m).sqrt()),
        method="estimate", n=(n, m), protocol=protocol_of(extractor, n, m, split=split, kernel="(x.y/F + 1)^3"),
    )  # fmt: skip


def mean_kernels(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over j of k(x_i, y_j) (n,) and mean over i of the same (m,), of rows x (n, F) and y (m, F)."""
    of_x, of_y = [], torch.zeros(len(y), dtype=y.dtype)
    for block in x.split(BLOCK):
        kernel = _cubes(block @ y.T / y.shape[1] + 1)
        of_x.append(kernel.mean(1))
        of_y += kernel.sum(0)
    return torch.cat(of_x), of_y / len(x)


def mean_kernel_within(x: Tensor) -> Tensor:
    """Mean over j != i of k(x_i, x_j) (n,)."""
    total = mean_kernels(x, x)[0] * len(x)
    return (total - _cubes(x.square().mean(1) + 1)) / (len(x) - 1)


def _cubes(x: Tensor) -> Tensor:
    return x * x * x
