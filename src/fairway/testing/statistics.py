"""Tests of goodness of fit in closed form, without scipy: p-values that a contract can raise an alarm on.

    Pearson:   sum (O - E)^2 / E  ~  chi^2(cells - 1),   p = Q((cells - 1) / 2, chi^2 / 2)
    Smirnov:   sqrt(n m / (n + m)) sup |F_n - G_m|  ~  Kolmogorov,     p = 2 sum_k (-1)^(k-1) exp(-2 k^2 d^2)
    mean:      (mean - mu) / (s / sqrt n)  ~  N(0, 1),   p = erfc(|z| / sqrt 2)

Cells that expect fewer than five counts are pooled; a pool that still does is given the variance of five, so that one
stray count is no alarm and fifty are. With fixed seeds an alarm repeats; at p < 1e-4 a right model
raises one in ten thousand times, so that it will practically never do so for the few hundred tests of a registry.
"""

import math

import torch
from torch import Tensor

ALARM = 1e-4


def chi_square_p(observed: Tensor, expected: Tensor, least: float = 5.0) -> float:
    """p-value of counts (cells,) against expected counts (cells,) of the same total.

    >>> chi_square_p(torch.tensor([50.0, 50.0]), torch.tensor([50.0, 50.0]))
    1.0
    """
    order = expected.argsort(descending=True)
    observed, expected = observed[order].double(), expected[order].double()
    large = int((expected >= least).sum())
    if large < len(expected):
        observed = torch.cat([observed[:large], observed[large:].sum().reshape(1)])
        expected = torch.cat([expected[:large], expected[large:].sum().reshape(1)])
    if len(expected) < 2:
        return 1.0
    statistic = ((observed - expected).square() / expected.clamp(min=least)).sum()
    freedom = torch.tensor((len(expected) - 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(freedom, statistic / 2))


def mean_p(values: Tensor, expected: float) -> float:
    """Two-sided p-value that independent values (n,) have this mean."""
    values = values.double()
    error = float(values.std()) / math.sqrt(len(values))
    gap = abs(float(values.mean()) - expected)
    return math.erfc(gap / error / math.sqrt(2)) if error > 0 else float(gap == 0)


def smirnov_p(x: Tensor, y: Tensor) -> float:
    """p-value that x (n,) and y (m,) come from one continuous law (two-sample Kolmogorov-Smirnov, asymptotic).

    >>> smirnov_p(torch.arange(1000.0), torch.arange(1000.0) + 0.5) > 0.99
    True
    >>> smirnov_p(torch.arange(1000.0), torch.arange(1000.0) + 200) < 1e-10
    True
    """
    n, m = len(x), len(y)
    order = torch.cat([x, y]).argsort(stable=True)
    steps = torch.cat([x.new_full((n,), 1 / n), y.new_full((m,), -1 / m)])[order].double()
    size = math.sqrt(n * m / (n + m)) * float(steps.cumsum(0).abs().max())
    if size < 0.2:  # the series alternates slowly there, and the p-value is 1 to 12 digits
        return 1.0
    return min(1.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * k**2 * size**2) for k in range(1, 101)))
