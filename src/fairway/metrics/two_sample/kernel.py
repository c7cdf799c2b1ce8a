"""The maximum mean discrepancy as a test (Gretton et al. 2012), with its p-value by permutation.

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y)        unbiased: pairs of a row with itself left out

With K (N, N) the kernel matrix of the pool, d its diagonal, and a in {0, 1}^N the rows called x, b = 1 - a:

    MMD^2(a) = (a'K a - a'd) / (n (n - 1)) + (b'K b - b'd) / (m (m - 1)) - 2 a'K b / (n m)

so K is computed once and every permutation is a row of A K. The default kernel is that of `squared_mmd`, five Gaussians
around the median distance h, here of the pool, since a permutation must leave K alone. It is characteristic: the
limit is 0 only for equal laws.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.random import Seed
from fairway.metrics.divergence.kernel import Kernel, gaussian_kernel
from fairway.metrics.divergence.rows import two_sets
from fairway.metrics.estimate import Estimate
from fairway.metrics.significance import HypothesisTest, permutation_p_value
from fairway.metrics.two_sample.pooled import rearrangements


def kernel_test(
    x: Any, y: Any, *, kernel: Kernel | None = None, permutations: int = 999, generator: Seed = 0
) -> HypothesisTest:
    """Whether x (n, *E) and y (m, *E) have one law, by the squared MMD.

    Args:
        kernel: (a, D), (b, D) -> (a, b), symmetric; None for five Gaussians around the pool's median distance.
        permutations: B; the smallest p-value is 1 / (B + 1).
        generator: seed of the permutations.

    Returns:
        The unbiased MMD^2 (it may be below 0).

    Raises:
        ValueError: rows that do not match, fewer than two, values that are not finite, all rows equal.

    >>> x = torch.arange(20.0).reshape(20, 1)
    >>> kernel_test(x, x + 30).p_value
    0.001
    """
    a, b = two_sets(x, y, least=2)
    n, m = len(a), len(b)
    pool = torch.cat([a, b])
    pool = pool - pool.mean(0)  # squared distances far from the origin lose digits
    gram = (kernel or gaussian_kernel(_median_distance(pool)))(pool, pool)
    statistics = split_mmd(gram, rearrangements(n, m, permutations, generator), n, m)
    protocol = "unbiased MMD^2, " + ("Gaussian kernels, median of the pool" if kernel is None else "own kernel")
    estimate = Estimate(float(statistics[0]), float("nan"), method="estimate", n=(n, m), protocol=protocol)
    return HypothesisTest(estimate, permutation_p_value(statistics[0], statistics[1:]), "x and y have one law")


def split_mmd(gram: Tensor, chosen: Tensor, n: int, m: int) -> Tensor:
    """Unbiased MMD^2 (B,) of every split `chosen` (B, n + m) of the pool with kernel matrix `gram`."""
    diagonal, toward = gram.diagonal(), chosen @ gram
    within_x = (toward * chosen).sum(1)
    across = toward.sum(1) - within_x
    within_y = gram.sum() - within_x - 2 * across
    own_x = chosen @ diagonal
    own_y = diagonal.sum() - own_x
    return (within_x - own_x) / (n * (n - 1)) + (within_y - own_y) / (m * (m - 1)) - 2 * across / (n * m)


def _median_distance(pool: Tensor) -> float:
    """Between rows that differ."""
    apart = torch.pdist(pool)
    apart = apart[apart > 0]
    if not len(apart):
        raise ValueError("expected rows that differ, got one row repeated; there is nothing to tell apart")
    return float(apart.median())
