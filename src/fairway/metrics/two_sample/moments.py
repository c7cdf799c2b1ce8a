"""The difference of means and variances, with its p-value by permutation.

    phi(u) = (u_1, ..., u_D, s(u_1^2), ..., s(u_D^2))        u standardised over the pool, s standardises again
    T      = |mean of phi over x - mean of phi over y|^2

T is 0 in the limit exactly when every entry has one mean and one variance in both laws (u is centred over the pool, so
with equal means the second half compares variances). Everything else is invisible: a Gaussian and a Laplace law of
equal mean and variance, or two laws that differ in their correlations, are the same to this test at any n.
T is the squared distance of mean embeddings under the kernel phi(u).phi(v), which is not characteristic (Gretton et
al. 2012); `kernel_test` differs only in its kernel.
"""

from typing import Any

import torch

from fairway.core.random import Seed
from fairway.metrics.divergence.rows import two_sets
from fairway.metrics.estimate import Estimate
from fairway.metrics.significance import HypothesisTest, permutation_p_value
from fairway.metrics.two_sample.pooled import rearrangements, standardised


def moment_test(x: Any, y: Any, *, permutations: int = 999, generator: Seed = 0) -> HypothesisTest:
    """Whether x (n, *E) and y (m, *E) have the means and variances of one law.

    Args:
        permutations: B; the smallest p-value is 1 / (B + 1).
        generator: seed of the permutations.

    Returns:
        T, with the largest gap of means (in pooled standard deviations) and the largest log ratio of variances.

    Raises:
        ValueError: rows that do not match, fewer than two, or values that are not finite.

    >>> x = torch.arange(20.0).reshape(20, 1)
    >>> moment_test(x, x + 30).p_value, moment_test(x, x).p_value
    (0.001, 1.0)
    """
    a, b = two_sets(x, y, least=2)
    n, m = len(a), len(b)
    u = standardised(torch.cat([a, b]))
    features = torch.cat([u, standardised(u.square())], 1)
    chosen = rearrangements(n, m, permutations, generator)
    sums = chosen @ features
    gaps = sums / n - (features.sum(0) - sums) / m
    statistics = gaps.square().sum(1)
    log_ratio = (u[:n].var(0) / u[n:].var(0)).log()
    info = {
        "mean_gap": float(gaps[0, : u.shape[1]].abs().max()),
        "log_variance_ratio": float(torch.nan_to_num(log_ratio, nan=0.0).abs().max()),  # 0 / 0: both constant
    }
    estimate = Estimate(float(statistics[0]), float("nan"), method="estimate", n=(n, m))
    p = permutation_p_value(statistics[0], statistics[1:])
    return HypothesisTest(estimate, p, "x and y have equal means and variances", info)
