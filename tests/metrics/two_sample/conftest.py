"""Pairs of laws, and the check that a test's p-values are uniform when the two are one."""

import math

import pytest
import torch


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def laplace(seed, *shape):
    """Mean 0 and variance 1, like the normal; kurtosis 6 instead of 3."""
    u = torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.5
    return -u.sign() * torch.log1p(-2 * u.abs()) / math.sqrt(2)


@pytest.fixture
def same_moments():
    """x and y (1000, 2): a Gaussian and a Laplace law with equal means and variances."""
    return normal(0, 1000, 2), laplace(1, 1000, 2)


@pytest.fixture
def null_p_values():
    """p-values of a test on pairs of one skewed law, of unequal sizes."""

    def repeated(test, repeats, n=40, m=60, d=3, **options):
        pairs = (normal(seed, n + m, d).exp() for seed in range(repeats))
        found = [test(rows[:n], rows[n:], generator=seed, **options).p_value for seed, rows in enumerate(pairs)]
        return torch.tensor(found, dtype=torch.float64)

    return repeated


@pytest.fixture
def looks_uniform():
    """Kolmogorov's distance to the uniform law is below its 0.1 % point (+ the grid of the permutations)."""

    def check(p_values, grid=0.01):
        ordered = p_values.sort().values
        ranks = torch.arange(1, len(ordered) + 1, dtype=torch.float64) / len(ordered)
        return float((ranks - ordered).abs().max()) < 1.95 / len(ordered) ** 0.5 + grid

    return check
