"""Resampling keeps what it should, and the step of a path is the one asked for."""

import math

import pytest
import torch

from fairway.samplers.resampling import along_curve, log_mean, next_step, share, systematic


def test_everyone_is_picked_as_often_as_its_weight_says_up_to_one():
    weights = torch.rand(5, 40, dtype=torch.float64)
    picked = systematic(weights, torch.rand(5, 1, dtype=torch.float64))
    counts = torch.nn.functional.one_hot(picked, 40).sum(1)
    assert bool(((counts - 40 * weights / weights.sum(1, keepdim=True)).abs() < 1).all())


def test_resampling_is_unbiased():
    weights = torch.tensor([[0.55, 0.3, 0.1, 0.05]]).expand(20_000, 4)
    counts = torch.nn.functional.one_hot(systematic(weights, torch.rand(20_000, 1)), 4).double().sum(1).mean(0)
    torch.testing.assert_close(counts, 4 * weights[0].double(), atol=0.02, rtol=0)


def test_a_weight_of_zero_is_never_picked():
    weights = torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    for uniform in (0.0, 0.5, 1 - 1e-12):
        assert systematic(weights, torch.tensor([[uniform]], dtype=torch.float64)).tolist() == [[1, 1, 1, 1]]


def test_the_step_gives_the_share_that_was_asked_for():
    f = 1e6 * torch.randn(2000, dtype=torch.float64)
    step = next_step(f, 1.0, 0.7)
    assert float(share(step * f)) == pytest.approx(0.7, abs=1e-3)
    assert next_step(f, step / 2, 0.7) == step / 2  # the end of the path is not overstepped


def test_points_outside_the_support_do_not_shorten_the_step():
    f = torch.randn(500, dtype=torch.float64)
    alone = next_step(f, 1.0, 0.9)
    assert next_step(torch.cat([f, torch.full((3000,), -math.inf)]), 1.0, 0.9) == alone


def test_neighbours_on_the_curve_are_neighbours_in_space():
    v = torch.randn(4096, 2, dtype=torch.float64)
    on_curve = v[along_curve(v)].diff(dim=0).norm(dim=1).median()
    assert float(on_curve) < 0.1 * float(v.diff(dim=0).norm(dim=1).median())


def test_the_curve_takes_many_coordinates():
    assert sorted(along_curve(torch.randn(50, 100)).tolist()) == list(range(50))


def test_the_mean_of_estimates_has_the_error_of_their_spread():
    estimates = torch.rand(1000, dtype=torch.float64) + 0.5
    value, error = log_mean(estimates.log() - 900)
    assert value == pytest.approx(math.log(float(estimates.mean())) - 900)
    assert error == pytest.approx(float(estimates.std() / estimates.mean()) / math.sqrt(1000))
    assert log_mean(torch.zeros(1))[1] == math.inf
