"""Means and variances: seen where they differ, nothing seen where only they agree."""

import pytest
import torch

from fairway.metrics.two_sample.moments import moment_test


def test_p_values_are_uniform_under_one_law(null_p_values, looks_uniform):
    assert looks_uniform(null_p_values(moment_test, 300, permutations=99))


@pytest.mark.parametrize(("shift", "scale", "which"), [(0.3, 1.0, "mean_gap"), (0.0, 1.4, "log_variance_ratio")])
def test_a_difference_in_mean_or_variance_is_found(shift, scale, which):
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    y = torch.randn(300, 4, generator=torch.Generator().manual_seed(1))
    y[:, 2] = y[:, 2] * scale + shift
    found = moment_test(x, y)
    assert found.p_value <= 0.005 and found.info[which] > 0.2


def test_it_has_no_power_on_a_pair_with_equal_mean_and_variance(same_moments):
    x, y = same_moments
    assert moment_test(x, y).p_value > 0.05
    quarters = [moment_test(a, b, permutations=99).p_value for a, b in zip(x.split(20), y.split(20), strict=True)]
    assert sum(p <= 0.1 for p in quarters) / len(quarters) < 0.25  # its level, no more: 50 tests at 0.1


def test_units_do_not_matter_and_constants_are_no_difference():
    x = torch.randn(80, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.randn(70, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    units = torch.tensor([1e-4, 1e3], dtype=torch.float64)
    once, again = moment_test(x, y), moment_test(x * units + 5, y * units + 5)
    assert once.p_value == again.p_value and once.statistic.value == pytest.approx(again.statistic.value)
    assert moment_test(torch.ones(10, 2), torch.ones(12, 2)).p_value == 1.0


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="as many entries per row, got 2 and 3"):
        moment_test(torch.ones(5, 2), torch.ones(5, 3))
    with pytest.raises(ValueError, match="at least 2 rows"):
        moment_test(torch.ones(1, 2), torch.ones(5, 2))
