"""Monte Carlo standard errors: equal to R's posterior, and the spread of the estimates they speak of."""

import numpy as np
import pytest
import torch
from scipy.special import betainc, betaincinv

from fairway.samplers.diagnostics import mcse


@pytest.mark.parametrize("name", ["mean", "sd", "median"])
def test_values_are_those_of_posterior(blocker, name):
    draws, values = blocker
    np.testing.assert_allclose(getattr(mcse, f"mcse_{name}")(draws), values[f"mcse_{name}"], rtol=1e-10)


@pytest.mark.parametrize("percent", [1, 10, 30])
def test_quantiles_are_those_of_posterior(blocker, percent):
    draws, values = blocker
    wanted = values[f"mcse_quantile{percent:02d}"]
    np.testing.assert_allclose(mcse.mcse_quantile(draws, percent / 100), wanted, rtol=1e-10)


@pytest.mark.parametrize(
    ("number", "estimate"),
    [
        (mcse.mcse_mean, lambda x: x.mean((0, 1))),
        (mcse.mcse_sd, lambda x: x.flatten(0, 1).std(0)),
        (mcse.mcse_median, lambda x: x.flatten(0, 1).median(0).values),
    ],
)
def test_the_error_is_the_spread_of_the_estimate_over_many_runs(number, estimate):
    runs = torch.rand(250, 4, 400, generator=torch.Generator().manual_seed(0), dtype=torch.float64).square()
    assert float(number(runs).mean()) == pytest.approx(float(estimate(runs).std()), rel=0.12)


def test_the_inverse_beta_function_is_scipys():
    a = np.exp(np.random.default_rng(0).uniform(0, 10, 200))
    b = np.exp(np.random.default_rng(1).uniform(0, 10, 200))
    p = np.array([1e-3, 0.16, 0.5, 0.84])
    ours = mcse.beta_quantile(*map(torch.from_numpy, (p, a, b)))
    np.testing.assert_allclose(ours, betaincinv(a, b, p[:, None]), rtol=1e-8)
    x = betaincinv(a, b, 0.3)
    np.testing.assert_allclose(mcse.beta_cdf(*map(torch.from_numpy, (x, a, b))), betainc(a, b, x), rtol=1e-8)
