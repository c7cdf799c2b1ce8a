"""p-values against scipy, and uniform where the hypothesis holds."""

import pytest
import scipy.stats
import torch

from fairway.testing.statistics import chi_square_p, mean_p, smirnov_p


def test_pearson_against_scipy():
    observed, expected = torch.tensor([18.0, 55.0, 27.0]), torch.tensor([25.0, 50.0, 25.0])
    assert chi_square_p(observed, expected) == pytest.approx(scipy.stats.chisquare(observed, expected).pvalue)


def test_small_cells_are_pooled():
    observed, expected = torch.tensor([90, 4, 3, 3, 0]), torch.tensor([90.0, 4.0, 2.0, 2.0, 2.0])
    pooled = scipy.stats.chisquare([90, 10], [90, 10]).pvalue
    assert chi_square_p(observed, expected) == pytest.approx(pooled)
    assert chi_square_p(torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])) == 1.0
    assert chi_square_p(torch.tensor([99.0, 1.0]), torch.tensor([99.9, 0.1])) > 0.3


def test_a_cell_that_should_be_empty_raises_the_alarm():
    assert chi_square_p(torch.tensor([50.0, 50.0]), torch.tensor([100.0, 0.0])) < 1e-6


def test_means_against_scipy():
    x = torch.randn(400, generator=torch.Generator().manual_seed(0)).double() + 0.1
    assert mean_p(x, 0.0) == pytest.approx(scipy.stats.ttest_1samp(x, 0.0).pvalue, rel=0.2)
    assert mean_p(torch.ones(5), 1.0) == 1.0 and mean_p(torch.ones(5), 2.0) == 0.0


def test_p_values_are_uniform_where_the_hypothesis_holds():
    generator = torch.Generator().manual_seed(1)
    expected = torch.tensor([0.1, 0.2, 0.3, 0.4])
    draws = [torch.multinomial(expected, 500, True, generator=generator) for _ in range(300)]
    p = [chi_square_p(torch.bincount(draw, minlength=4), expected * 500) for draw in draws]
    assert scipy.stats.kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("n", "m"), [(2000, 3000), (5000, 5000)])
@pytest.mark.parametrize("shift", [0.0, 0.03, 0.08, 0.2])
def test_smirnov_against_scipy(n, m, shift):
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(n, dtype=torch.float64, generator=generator)
    y = torch.randn(m, dtype=torch.float64, generator=generator) + shift
    expected = scipy.stats.ks_2samp(x, y, method="asymp").pvalue
    assert smirnov_p(x, y) == smirnov_p(y, x) == pytest.approx(expected, rel=0.15)


def test_smirnov_sees_a_spread_and_few_draws():
    generator = torch.Generator().manual_seed(2)
    x, y = torch.randn(4000, generator=generator), 1.3 * torch.randn(4000, generator=generator)
    assert smirnov_p(x, y) < 1e-6
    assert smirnov_p(x[:5], y[:5]) > 0.05 and smirnov_p(x[:5], x[:5]) > 0.99


def test_smirnovs_p_values_are_uniform_where_the_hypothesis_holds():
    generator = torch.Generator().manual_seed(3)
    draws = torch.randn(300, 2, 1000, generator=generator)
    assert scipy.stats.kstest([smirnov_p(x, y) for x, y in draws], "uniform").pvalue > 1e-3
