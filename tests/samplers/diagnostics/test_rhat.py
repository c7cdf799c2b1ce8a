"""R-hat: equal to R's posterior, 1 for chains that agree, large for each way of disagreeing."""

import math

import numpy as np
import pytest
import torch

from fairway.samplers.diagnostics.rhat import from_moments, rhat, rhat_raw


@pytest.mark.parametrize(("number", "column"), [(rhat, "rhat_rank"), (rhat_raw, "rhat_raw")])
def test_values_are_those_of_posterior(blocker, number, column):
    draws, values = blocker
    np.testing.assert_allclose(number(draws), values[column], rtol=1e-10)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_chains_that_disagree_are_seen_in_place_spread_and_drift():
    x = normal(1000, 4)
    apart = x + torch.tensor([0.0, 0.0, 0.0, 1.0])
    wider = x * torch.tensor([1.0, 1.0, 1.0, 3.0])
    drift = x + torch.linspace(-1, 1, 1000)[:, None]
    assert rhat(x) < 1.01
    assert min(rhat(apart), rhat(wider), rhat(drift)) > 1.05
    assert max(rhat_raw(wider), rhat_raw(drift)) < 1.01  # which the raw number misses


def test_the_rank_version_needs_no_moments_and_forgets_the_units():
    x = torch.tan(math.pi * (torch.rand(2000, 4, generator=torch.Generator().manual_seed(0)).double() - 0.5))  # Cauchy
    assert rhat(x) < 1.01
    torch.testing.assert_close(rhat(x), rhat(3e5 * x + 1), rtol=1e-6, atol=0)


def test_chains_that_stand_still_in_different_places_are_infinitely_apart():
    assert rhat_raw(torch.tensor([0.0, 1.0]).expand(10, 2)) == math.inf


def test_one_chain_has_a_split_rhat_and_no_raw_one():
    assert rhat(normal(500, 1)) < 1.02
    assert rhat_raw(normal(500, 1)).isnan()


def test_r_hat_of_two_chains_by_hand():
    # W = 2, var of means = 0.5, n = 4: sqrt(3/4 + 1/4)
    assert from_moments(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 3.0]]), 4) == pytest.approx(1.0)
