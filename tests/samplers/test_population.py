"""What a population says of itself, and that it moves until it has forgotten its start."""

import pytest
import torch

from fairway.core.random import Rows
from fairway.samplers.driver import noises
from fairway.samplers.metropolis import RandomWalk
from fairway.samplers.population import PART, Mover, _checked, correlation, effective, in_parts
from fairway.samplers.target import Tempered, function_target


def bowl(d=2):
    return function_target(lambda u: -0.5 * u.square().sum(1), d)


def mover(most, target=None):
    target = target or bowl()
    noise = noises(RandomWalk(), target, Rows(0, 640, 0, torch.float64), 10**6)
    return Mover(RandomWalk(), Tempered(target), noise, most)


def test_the_effective_number_of_independent_draws_is_their_number():
    u = torch.randn(64 * 200, 2, dtype=torch.float64)
    ess = effective(u, torch.full((200, 64), 1 / len(u), dtype=torch.float64))
    torch.testing.assert_close(ess / len(u), torch.ones(2, dtype=torch.float64), atol=0.35, rtol=0)


def test_moves_end_when_the_start_is_forgotten():
    one = mover(50)
    u = torch.randn(640, 2, dtype=torch.float64)
    for _ in range(3):
        u = one.move(u, 1.0, None)
    assert 2 <= one.moves[-1] < 20
    assert one.acceptances[-1] == pytest.approx(0.234, abs=0.08)  # the step size has followed


def test_moves_end_when_more_of_them_do_not_help():
    """Two far modes: a particle never forgets which was its own."""
    two = function_target(lambda u: -50 * (u.abs() - 5).square().sum(1), 1)
    u = torch.tensor([-5.0, 5.0], dtype=torch.float64).repeat(320).unsqueeze(1) + 0.1 * torch.randn(640, 1).double()
    one = mover(50, two)
    moved = one.move(u, 1.0, None)
    assert one.moves[-1] < 50 and bool((moved.sign() == u.sign()).all())


def test_the_correlation_is_the_larger_of_positions_and_values():
    u = torch.randn(640, 2, dtype=torch.float64)
    state = RandomWalk().init(bowl(), u)
    mirrored = RandomWalk().init(bowl(), -u)
    assert correlation(state, state) == pytest.approx(1.0)
    assert correlation(state, mirrored) == pytest.approx(1.0)  # other places, the same values


def test_parts_give_what_the_whole_gives():
    u = torch.randn(2 * PART + 10, 2, dtype=torch.float64)
    whole, parts = bowl(), in_parts(bowl())
    assert torch.equal(whole.value(u), parts.value(u))
    for a, b in zip(whole.value_and_grad(u), parts.value_and_grad(u), strict=True):
        assert torch.equal(a, b)


def test_not_a_number_is_a_weight_of_zero():
    f = _checked(torch.tensor([float("nan"), 1.0, -float("inf")]), 0.0)
    assert f.tolist() == [-float("inf"), 1.0, -float("inf")]
