"""p-values against scipy, and uniform where the hypothesis holds."""

import pytest
import scipy.stats
import torch

from fairway.testing.statistics import chi_square_p, mean_p


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
