"""p-values: never 0, valid under the hypothesis, and scipy's where there is a closed form."""

import pytest
import torch
from scipy.stats import chi2

from fairway.metrics.estimate import Estimate
from fairway.metrics.significance import HypothesisTest, chi_square_p_value, permutation_p_value, smallest


def test_a_permutation_p_value_is_the_rank_of_the_data_among_the_rearrangements():
    ranks = torch.arange(1, 10.0)
    assert permutation_p_value(torch.tensor(100.0), ranks) == 0.1  # never 0
    assert permutation_p_value(torch.tensor(0.0), ranks) == 1.0
    assert permutation_p_value(torch.tensor(5.0), ranks) == 0.6  # a tie counts against rejection


def test_exchangeable_statistics_give_every_level_its_own_rate():
    draws = torch.rand(2000, 20, generator=torch.Generator().manual_seed(0))
    found = torch.tensor([permutation_p_value(row[0], row[1:]) for row in draws])
    for level in (0.05, 0.25, 0.5):
        assert float((found <= level + 1e-9).double().mean()) == pytest.approx(level, abs=0.04)


def test_the_chi_square_law_is_scipys():
    statistics = torch.tensor([0.0, 1.0, 12.5, 80.0])
    for freedom in (1, 7, 40):
        expected = torch.as_tensor(chi2.sf(statistics.numpy(), freedom))
        torch.testing.assert_close(chi_square_p_value(statistics, freedom), expected, rtol=1e-6, atol=1e-12)


def test_several_tests_count_as_one_at_most_1():
    assert smallest(torch.tensor([0.5, 0.001, 0.9])) == pytest.approx(0.003)
    assert smallest(torch.tensor([0.5, 0.9])) == 1.0


def test_a_test_says_what_it_rejects_and_at_which_level():
    found = HypothesisTest(Estimate(0.61, 0.02, method="estimate"), 0.03, "x and y have one law")
    assert found.rejects() and not found.rejects(0.01)
    assert str(found) == "0.61 +- 0.02 (estimate), p = 0.03: x and y have one law"
