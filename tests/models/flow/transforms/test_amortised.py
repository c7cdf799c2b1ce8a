"""Learned numbers, moved by a context; a slope that stays above zero."""

import torch

from fairway.models.flow.transforms.amortised import LEAST, Amortised, slope_above_zero


def test_the_context_starts_without_a_say_and_gains_one():
    numbers, context = Amortised(torch.tensor([1.0, 2.0]), 3, (8,)), torch.randn(5, 3)
    assert torch.equal(numbers(context), torch.tensor([[1.0, 2.0]]).expand(5, 2))
    torch.nn.init.normal_(numbers.network.last.weight)
    assert numbers(context).std(0).min() > 0.1


def test_without_a_context_one_row_serves_all():
    assert torch.equal(Amortised(torch.tensor([1.0, 2.0]))(None), torch.tensor([[1.0, 2.0]]))


def test_the_slope_is_one_at_zero_increasing_and_at_least_the_least():
    x = torch.linspace(-200, 200, 4001, dtype=torch.float64)
    slope = slope_above_zero(x)
    assert (slope.diff() >= 0).all() and (slope >= LEAST).all()
    assert abs(float(slope_above_zero(torch.zeros(1, dtype=torch.float64))) - 1) < 1e-12
    assert slope.diff()[2000:].min() > 0.05
