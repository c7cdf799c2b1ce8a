"""Weights: their mean, what they are worth, and equal draws out of weighted ones."""

import math

import pytest
import torch

from fairway.core.sampler import Draws
from fairway.samplers import resampled
from fairway.samplers.weights import mean_weight


def test_the_standard_error_is_the_spread_of_the_log_of_the_mean():
    generator = torch.Generator().manual_seed(0)
    logs = 0.7 * torch.randn(2000, 300, generator=generator, dtype=torch.float64)
    found = [mean_weight(row) for row in logs]
    values = torch.tensor([m.log_mean for m in found])
    assert float(values.mean()) == pytest.approx(0.7**2 / 2, abs=0.005)
    assert float(torch.tensor([m.error for m in found]).mean()) == pytest.approx(float(values.std()), rel=0.08)


def test_one_heavy_weight_is_worth_one_draw():
    found = mean_weight(torch.tensor([0.0, -100.0, -100.0, -math.inf]))
    assert found.ess == pytest.approx(1.0) and found.log_mean == pytest.approx(-math.log(4))


def test_weights_of_zero_say_so():
    found = mean_weight(torch.full((3,), -math.inf))
    assert found.ess == 0 and found.log_mean == -math.inf and math.isnan(found.error)
    with pytest.raises(ValueError, match="positive weight"):
        resampled(Draws(torch.zeros(3), log_weights=torch.full((3,), -math.inf)))


def test_weights_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="numbers"):
        mean_weight(torch.tensor([0.0, math.nan]))


def test_resampling_takes_each_draw_in_proportion():
    draws = Draws(torch.arange(1000.0), log_weights=torch.linspace(-3, 0, 1000))
    weights = torch.softmax(draws.log_weights.double(), 0)
    counts = torch.bincount(resampled(draws, generator=1).samples.long(), minlength=1000)
    assert bool(((counts - 1000 * weights).abs() < 1).all())
    assert resampled(draws).log_weights is None
    plain = Draws(torch.zeros(2))
    assert resampled(plain) is plain
