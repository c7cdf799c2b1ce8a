"""The maximum mean discrepancy as a test (Gretton et al. 2012), with its p-value by permutation.

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y)        unbiased: pairs of a row with itself left out

With K (N, N) the kernel matrix of the pool, k_ii = 1, and a in {0, 1}^N the rows called x, b = 1 - a:

    MMD^2(a) = (a'K a - n) / (n (n - 1)) + (b'K b - m) / (m (m - 1)) - 2 a'K b / (n m)

so K is computed once and every permutation is a row of A K. Kernel exp(-|u - v|^2 / (2 s^2)), characteristic: 0 in the
limit only for equal laws. s is the median distance within the pool, which a permutation leaves alone.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.random import Seed
from fairway.metrics.divergence.rows import two_sets
from fairway.metrics.estimate import Estimate
from fairway.metrics.significance import HypothesisTest, permutation_p_value
from fairway.metrics.two_sample.pooled import rearrangements


def kernel_test(
    x: Any, y: Any, *, bandwidth: float | None = None, permutations: int = 999, generator: Seed = 0
) -> HypothesisTest:
    """Whether x (n, *E) and y (m, *E) have one law, by the squared MMD under a Gaussian kernel.

    Args:
        bandwidth: s, in the units of the rows; None for the median distance between pooled rows.
        permutations: B; the smallest p-value is 1 / (B + 1).
        generator: seed of the permutations.

    Returns:
        The unbiased MMD^2 (it may be below 0), with the bandwidth used.

    Raises:
        ValueError: rows that do not match, fewer than two, values that are not finite, a bandwidth not above 0.

    >>> x = torch.arange(20.0).reshape(20, 1)
    >>> kernel_test(x, x + 30).p_value
    0.001
    """
    a, b = two_sets(x, y, least=2)
    n, m = len(a), len(b)
    distances = torch.cdist(torch.cat([a, b]), torch.cat([a, b]))
    s = _median(distances) if bandwidth is None else bandwidth
    if not s > 0:
        raise ValueError(f"expected a bandwidth above 0, got {s}; all rows equal need none")
    gram = (-0.5 * (distances / s).square()).exp()
    statistics = squared_mmd(gram, rearrangements(n, m, permutations, generator), n, m)
    estimate = Estimate(
        float(statistics[0]), float("nan"), method="estimate", n=(n, m), protocol=f"Gaussian kernel, bandwidth {s:.4g}"
    )
    p = permutation_p_value(statistics[0], statistics[1:])
    return HypothesisTest(estimate, p, "x and y have one law", {"bandwidth": s})


def squared_mmd(gram: Tensor, chosen: Tensor, n: int, m: int) -> Tensor:
    """Unbiased MMD^2 (B,) of every split `chosen` (B, n + m) of the pool with kernel matrix `gram`."""
    diagonal, toward = gram.diagonal(), chosen @ gram
    within_x = (toward * chosen).sum(1)
    across = toward.sum(1) - within_x
    within_y = gram.sum() - within_x - 2 * across
    own_x = chosen @ diagonal
    own_y = diagonal.sum() - own_x
    return (within_x - own_x) / (n * (n - 1)) + (within_y - own_y) / (m * (m - 1)) - 2 * across / (n * m)


def _median(distances: Tensor) -> float:
    upper = distances[torch.triu(torch.ones_like(distances, dtype=torch.bool), 1)]
    return float(upper[upper > 0].median()) if bool((upper > 0).any()) else 0.0
