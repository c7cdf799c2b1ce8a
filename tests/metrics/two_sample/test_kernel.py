"""MMD against its definition, uniform p-values, and power where two moments have none."""

import pytest
import torch

from fairway.metrics.divergence.kernel import gaussian_kernel, squared_mmd
from fairway.metrics.two_sample.kernel import kernel_test, split_mmd
from fairway.metrics.two_sample.pooled import rearrangements


def test_every_split_has_the_unbiased_mmd_of_its_definition():
    rows = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gram = (-0.5 * torch.cdist(rows, rows).square()).exp()
    chosen = rearrangements(4, 5, 6)
    for a, found in zip(chosen.bool(), split_mmd(gram, chosen, 4, 5), strict=True):
        x, y = a.nonzero().flatten().tolist(), (~a).nonzero().flatten().tolist()
        within = [sum(gram[i, j] for i in s for j in s if i != j) / (len(s) * (len(s) - 1)) for s in (x, y)]
        across = sum(gram[i, j] for i in x for j in y) / 20
        assert float(found) == pytest.approx(float(within[0] + within[1] - 2 * across), abs=1e-12)


def test_p_values_are_uniform_under_one_law(null_p_values, looks_uniform):
    assert looks_uniform(null_p_values(kernel_test, 300, permutations=99))


def test_equal_moments_do_not_hide_two_laws(same_moments):
    assert kernel_test(*same_moments, permutations=199).p_value <= 0.01


def test_its_statistic_is_the_squared_mmd_under_the_same_kernel(same_moments):
    x, y = (rows[:200] for rows in same_moments)
    expected = squared_mmd(x, y, bandwidth=0.9).value
    assert kernel_test(x, y, kernel=gaussian_kernel(0.9), permutations=9).statistic.value == pytest.approx(expected)


def test_a_kernel_as_wide_as_the_world_compares_means_alone(same_moments):
    x, y = same_moments
    assert kernel_test(x, y, kernel=gaussian_kernel(100.0), permutations=199).p_value > 0.05
    assert kernel_test(x, y + 0.3, kernel=gaussian_kernel(100.0), permutations=199).p_value <= 0.01


def test_rows_that_never_differ_are_refused():
    with pytest.raises(ValueError, match="rows that differ, got one row repeated"):
        kernel_test(torch.ones(5, 2), torch.ones(5, 2))
