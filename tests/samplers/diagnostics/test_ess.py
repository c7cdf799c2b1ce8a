"""Effective sample sizes: equal to R's posterior, and right where the autocorrelation is known."""

import math

import numpy as np
import pytest
import torch

from fairway.samplers.diagnostics import ess

NUMBERS = {f"ess_{name}": getattr(ess, f"ess_{name}") for name in ("bulk", "tail", "mean", "sd", "median", "raw")}


@pytest.mark.parametrize("column", NUMBERS)
def test_values_are_those_of_posterior(blocker, column):
    draws, values = blocker
    np.testing.assert_allclose(NUMBERS[column](draws), values[column], rtol=1e-10)


@pytest.mark.parametrize("percent", [1, 10, 30])
def test_quantiles_are_those_of_posterior(blocker, percent):
    draws, values = blocker
    np.testing.assert_allclose(ess.ess_quantile(draws, percent / 100), values[f"ess_quantile{percent:02d}"], rtol=1e-10)


def autoregression(rho, draws, chains):
    noise = torch.randn(draws, chains, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    states = [noise[0]]
    for e in noise[1:]:
        states.append(rho * states[-1] + math.sqrt(1 - rho**2) * e)
    return torch.stack(states)


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.8])
def test_the_size_of_an_autoregression_is_known(rho):
    x = autoregression(rho, 2000, 32)
    expected = x.numel() * (1 - rho) / (1 + rho)
    for number in (ess.ess_mean, ess.ess_bulk, ess.ess_raw):
        assert float(number(x)) == pytest.approx(expected, rel=0.15)


def test_autocovariance_by_fft_is_the_sum_by_hand():
    x = autoregression(0.5, 11, 3).T[None]
    y = (x - x.mean(2, keepdim=True))[0]
    by_hand = [sum(float(c[: 11 - t] @ c[t:]) for c in y) / 3 / 11 for t in range(11)]
    np.testing.assert_allclose(ess.autocovariance(x)[0], by_hand, atol=1e-14)


def test_the_sum_stops_at_the_first_pair_that_is_not_positive_and_never_rises():
    rho = torch.tensor([1.0, 0.5, 0.2, 0.1, 0.4, 0.3, 0.1, -0.3, 0.9, 0.9, 0.9, 0.9], dtype=torch.float64)
    # pairs 1.5, 0.3, 0.7 -> 0.3, then -0.2 stops; its even term 0.1 is kept once
    assert float(ess.geyer_sum(rho[None])) == pytest.approx(-1 + 2 * (1.5 + 0.3 + 0.3) + 0.1)


def test_chains_that_disagree_are_worth_few_draws():
    x = autoregression(0.0, 1000, 4)
    assert ess.ess_bulk(x + 3 * torch.arange(4.0)) < 10
    assert ess.ess_mean(x * 0 + torch.arange(4.0)) < 10


@pytest.mark.parametrize("draws", [4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
def test_few_draws_give_a_number_or_nan_and_never_an_error(draws):
    x = autoregression(0.3, draws, 3)
    for number in NUMBERS.values():
        value = float(number(x))
        assert value > 0 if draws >= 6 and number is not ess.ess_tail else math.isnan(value) or value > 0


def test_a_probability_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="probability"):
        ess.ess_quantile(autoregression(0.0, 10, 2), 1.0)
