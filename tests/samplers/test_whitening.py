"""Round coordinates: there and back, the right law, the right gradient."""

import math

import pytest
import torch

from fairway.samplers.hmc import HMC
from fairway.samplers.metropolis import RandomWalk
from fairway.samplers.target import function_target
from fairway.samplers.whitening import LEAPFROGS, Whitening, quarter_turn

MIX = torch.tensor([[1e3, 0.0, 0.0], [1e3, 1e-3, 0.0], [1.0, 0.0, 1.0]], dtype=torch.float64)


def population(n=400):
    return torch.randn(n, 3, dtype=torch.float64) @ MIX.T + 50.0


def test_a_population_of_condition_number_in_the_millions_becomes_round():
    u = population()
    v = Whitening.of(u).to_round(u)
    torch.testing.assert_close(v.T.cov(), torch.eye(3, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(v.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("n", [400, 20])
def test_there_and_back(n):
    u = population(n)  # 20 points are too few for a full covariance: the diagonal
    whitening = Whitening.of(u)
    assert whitening.factor.ndim == (2 if n == 400 else 1)
    torch.testing.assert_close(whitening.from_round(whitening.to_round(u)), u)


def test_weights_count_as_copies():
    u = population(300)
    twice = torch.cat([u, u[:100]])
    weights = torch.cat([torch.full((100,), 2.0), torch.ones(200)]).double() / 400
    torch.testing.assert_close(Whitening.of(u, weights).mean, Whitening.of(twice).mean)
    torch.testing.assert_close(Whitening.of(u, weights).factor, Whitening.of(twice).factor, rtol=1e-2, atol=1e-3)


def test_a_flat_population_gets_units_of_its_own():
    u = torch.cat([torch.randn(100, 1), torch.full((100, 1), 3.0), torch.randn(100, 1)], 1).double()
    whitening = Whitening.of(u)
    assert float(whitening.factor[1] if whitening.factor.ndim == 1 else whitening.factor[1, 1]) == 1.0
    assert bool(torch.isfinite(whitening.to_round(u)).all())


@pytest.mark.parametrize("n", [400, 20])
def test_the_density_and_its_gradient_follow(n):
    target = function_target(lambda u: -0.5 * u.square().flatten(1).sum(1) / 100, (3, 1))
    whitening = Whitening.of(population(n).unsqueeze(2))
    v = torch.randn(7, 3, 1, dtype=torch.float64)
    value, grad = whitening.target(target).value_and_grad(v)
    point = v.clone().requires_grad_()
    wanted = target.log_prob(whitening.from_round(point))
    torch.testing.assert_close(value, wanted.detach())
    torch.testing.assert_close(grad, torch.autograd.grad(wanted.sum(), point)[0])


def test_the_determinant_is_that_of_the_map():
    whitening = Whitening.of(population()).wider(2.0)
    assert whitening.log_det == pytest.approx(float(torch.linalg.slogdet(whitening.factor)[1]))
    assert Whitening.standard(torch.zeros(4, 5), 3.0).log_det == pytest.approx(5 * math.log(3))


def test_trajectories_are_a_quarter_turn_or_a_few_leapfrogs():
    target = function_target(lambda u: -0.5 * u.square().sum(1), 2)
    u = torch.zeros(3, 2, dtype=torch.float64)
    assert float(quarter_turn(HMC(step=1.0).init(target, u)).length) == pytest.approx(math.pi / 2)
    assert float(quarter_turn(HMC(step=0.01).init(target, u)).length) == pytest.approx(0.01 * LEAPFROGS)
    state = RandomWalk().init(target, u)
    assert quarter_turn(state) is state
