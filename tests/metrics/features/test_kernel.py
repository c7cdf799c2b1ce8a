"""The kernel distance is unbiased, its error is right, and it sees what two moments do not."""

import pytest
import torch

from fairway.metrics.features import kernel_distance
from fairway.metrics.features.kernel import mean_kernel_within, mean_kernels


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_all_pairs_in_blocks_are_all_pairs():
    x, y = normal(1300, 3), normal(70, 3, seed=1)
    kernel = (x @ y.T / 3 + 1) ** 3
    torch.testing.assert_close(mean_kernels(x, y)[0], kernel.mean(1))
    torch.testing.assert_close(mean_kernels(x, y)[1], kernel.mean(0))
    own = ((y @ y.T / 3 + 1) ** 3).fill_diagonal_(0).sum(1) / 69
    torch.testing.assert_close(mean_kernel_within(y), own)


def test_it_is_unbiased_at_any_n_and_its_error_is_not_too_small():
    found = [kernel_distance(normal(30, 3, seed=2 * s), normal(20, 3, seed=2 * s + 1)) for s in range(400)]
    values = torch.tensor([f.value for f in found])
    assert abs(float(values.mean())) < 4 * float(values.std()) / 20 and float(values.min()) < 0
    error = sum(f.standard_error for f in found) / 400
    assert float(values.std()) < error < 2 * float(values.std())


def test_away_from_zero_the_standard_error_is_the_spread_over_fresh_sets():
    found = [kernel_distance(normal(200, 2, seed=2 * s) + 0.7, normal(150, 2, seed=2 * s + 1)) for s in range(200)]
    values = torch.tensor([f.value for f in found])
    errors = torch.tensor([f.standard_error for f in found])
    assert float(values.std()) == pytest.approx(float(errors.square().mean().sqrt()), rel=0.2)


def test_a_mean_shift_has_its_closed_form():
    # one dimension, k = (xy + 1)^3: MMD^2 = sum over j of binom(3, j) (E x^j - E y^j)^2
    x, y = normal(3000, 1), normal(3000, 1, seed=1) + 1
    moments = 3 * 1 + 3 * (2 - 1) ** 2 + (1 + 3) ** 2
    found = kernel_distance(x, y)
    assert abs(found.value - moments) < 3 * found.standard_error < 0.25 * moments


def test_it_sees_a_third_moment_where_two_agree():
    skewed = torch.empty(3000, 1, dtype=torch.float64).exponential_(generator=torch.Generator().manual_seed(0)) - 1
    found = kernel_distance(skewed, normal(3000, 1))
    assert found.value > 4 * found.standard_error
