"""Schedule, clip and average, against their formulas."""

import math

import pytest
import torch
from torch import nn

from fairway.core.objective import Optimisation
from fairway.training.optim import Average, Mover


@pytest.fixture
def linear():
    layer = nn.Linear(2, 1, bias=False)
    nn.init.ones_(layer.weight)
    return layer


def test_learning_rate_warms_up_then_follows_a_cosine(linear):
    mover = Mover(linear, Optimisation(lr=0.1))
    steps, warm = 200, 10
    for k in (0, 4, 9, 10, 100, 199):
        expected = 0.1 * min(1, (k + 1) / warm) * 0.5 * (1 + math.cos(math.pi * k / steps))
        assert mover.set_lr(k, steps) == pytest.approx(expected)
        assert mover.optimiser.param_groups[0]["lr"] == pytest.approx(expected)
    assert mover.set_lr(199, steps) < 1e-4 * 0.1 * 1.01


def test_before_the_steps_are_known_the_rate_only_warms_up(linear):
    mover = Mover(linear, Optimisation(lr=0.1))
    assert mover.set_lr(49, None) == pytest.approx(0.05)
    assert mover.set_lr(5_000, None) == pytest.approx(0.1)


def test_a_constant_schedule_stays(linear):
    mover = Mover(linear, Optimisation(lr=0.1, schedule="constant"))
    assert mover.set_lr(999, 1000) == pytest.approx(0.1)


def test_an_unknown_schedule_is_refused(linear):
    with pytest.raises(ValueError, match="expected a schedule among cosine, constant, got 'linear'"):
        Mover(linear, Optimisation(schedule="linear"))


def test_the_gradient_is_clipped_and_its_norm_reported(linear):
    x = torch.tensor([3.0, 4.0])
    mover = Mover(linear, Optimisation(clip=1.0))
    linear.weight.grad = x.unsqueeze(0).clone()
    assert float(mover.move()) == pytest.approx(5.0)
    torch.testing.assert_close(linear.weight.grad, (x / 5).unsqueeze(0))
    linear.weight.grad = x.unsqueeze(0).clone()
    assert float(Mover(linear, Optimisation(clip=None)).move()) == pytest.approx(5.0)
    torch.testing.assert_close(linear.weight.grad, x.unsqueeze(0))


def test_a_player_without_parameters_is_refused():
    with pytest.raises(ValueError, match="expected a player with parameters to train, got ReLU"):
        Mover(nn.ReLU(), Optimisation())


def test_the_average_follows_its_formula(linear):
    average, expected = Average(linear, 0.9), torch.ones(1, 2)
    for k in range(12):
        with torch.no_grad():
            linear.weight.add_(1.0)
        average.update(k)
        m = min(0.9, (1 + k) / (10 + k))
        expected = m * expected + (1 - m) * linear.weight.detach()
    torch.testing.assert_close(average.shadow["weight"], expected)


def test_the_average_is_lent_and_given_back(linear):
    average = Average(linear, 0.9)
    with torch.no_grad():
        linear.weight.fill_(7.0)
    with pytest.raises(KeyError), average.applied():
        assert torch.equal(linear.weight, torch.ones(1, 2))
        raise KeyError
    assert torch.equal(linear.weight, torch.full((1, 2), 7.0))
    assert torch.equal(average.shadow["weight"], torch.ones(1, 2))


def test_settling_twice_is_settling_once(linear):
    average = Average(linear, 0.9)
    with torch.no_grad():
        linear.weight.fill_(7.0)
    average.settle()
    average.settle()
    assert torch.equal(linear.weight, torch.ones(1, 2))


def test_without_an_average_nothing_is_kept(linear):
    average = Average(linear, 0.0)
    average.update(0)
    average.settle()
    assert average.shadow == {}
