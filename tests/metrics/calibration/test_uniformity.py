"""Tests of uniformity: right level on uniform draws, power against the usual shapes, a band that holds everywhere."""

import pytest
import torch
from scipy.stats import binom, chisquare

from fairway.metrics.calibration.uniformity import _tails, chi_square_test, ecdf_band, ecdf_test


def uniform(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("test", [chi_square_test, ecdf_test])
def test_p_values_are_uniform_on_uniform_draws(test):
    found = torch.tensor([test(row).p_value for row in uniform(0, 1000, 200)])
    for level in (0.05, 0.2, 0.5):
        assert float((found <= level).double().mean()) == pytest.approx(level, abs=0.05)


@pytest.mark.parametrize("test", [chi_square_test, ecdf_test])
@pytest.mark.parametrize(
    "law",
    [lambda u: 0.5 + 0.5 * (2 * u - 1) ** 3, lambda u: 0.5 + (u - 0.5) * 0.7, lambda u: u**1.3],
    ids=["too wide", "missing tails", "biased"],
)
def test_the_usual_shapes_are_caught(test, law):
    assert test(law(uniform(1, 600))).p_value < 0.01


def test_the_ecdf_sees_a_tail_and_says_where():
    u = uniform(2, 500)
    u[:25] = 0.999  # one in twenty in the last hundredth
    found = ecdf_test(u)
    assert found.p_value < 0.001 and found.info["where"] > 0.9


def test_the_counts_and_the_tails_are_scipys():
    u = uniform(3, 500)
    counts = torch.histc(u, 20, 0, 1).numpy()
    assert chi_square_test(u).p_value == pytest.approx(chisquare(counts).pvalue, rel=1e-9)
    k = torch.arange(31).numpy()
    for row, z in ((0, 0.02), (24, 0.5), (48, 0.98)):
        expected = 2 * torch.minimum(torch.tensor(binom.cdf(k, 30, z)), torch.tensor(binom.sf(k - 1, 30, z)))
        torch.testing.assert_close(_tails(30)[row], expected.clamp(max=1), rtol=1e-9, atol=1e-14)


def test_the_band_holds_at_all_points_together_as_often_as_it_says():
    z, low, high = ecdf_band(200, level=0.9)
    ecdf = (uniform(4, 3000, 200).unsqueeze(2) <= z).double().mean(1)
    inside = ((ecdf >= low - 1e-12) & (ecdf <= high + 1e-12)).all(1).double().mean()
    assert 0.89 < float(inside) < 0.94  # counts are discrete: at least 0.9, up to simulation


def test_what_is_no_sample_of_the_unit_interval_is_refused():
    with pytest.raises(ValueError, match=r"shape \(n,\) with n of at least 10, got \(20, 2\)"):
        ecdf_test(torch.rand(20, 2, generator=torch.Generator()))
    with pytest.raises(ValueError, match=r"u within \[0, 1\]"):
        chi_square_test(torch.full((20,), float("nan")))
