"""The leapfrog map runs back, keeps volume and energy, and costs what it says; trajectories are as long as asked."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers import draw
from fairway.samplers.driver import ChainError, Fixed, Long
from fairway.samplers.hmc import HMC, kinetic, leapfrog
from fairway.samplers.mcmc import MCMC
from fairway.samplers.target import Target


def banana(u):
    """A curved density with a wall on one side."""
    return -0.5 * u[:, 0].square() - 0.5 * (u[:, 1] - u[:, 0].square() / 2).square() - torch.exp(-2 * u[:, 1] - 2)


BANANA = Target(banana, event=Event((2,)))
STEP = torch.tensor([[0.11, 0.07]], dtype=torch.float64)  # a step size times a scale
TILTED = torch.tensor([[0.8, 0.0], [0.5, 1.3]], dtype=torch.float64)  # a matrix of units


def start(n=64, seed=0):
    rows = Rows(seed, n, dtype=torch.float64)
    return rows.normal(2), rows.normal(2)


def every(step):
    """One step size for both entries."""
    return torch.full((1, 2), step, dtype=torch.float64)


def counted(log_prob):
    """The density, and the list of how many points it was asked for at each call."""
    calls = []

    def ask(u):
        calls.append(len(u))
        return log_prob(u)

    return ask, calls


# ----------------------------------------------------------------------------------------------------------- leapfrog


@pytest.mark.parametrize("mix", [None, TILTED], ids=["units", "tilted units"])
def test_the_leapfrog_map_runs_back(mix):
    u, p = start()
    _, grad = BANANA.value_and_grad(u)
    end, _, end_grad, end_p = leapfrog(BANANA, u, grad, p, STEP, 25, mix)
    assert float((end - u).norm(dim=1).min()) > 0.1
    for momentum, step in ((-end_p, STEP), (end_p, -STEP)):
        back = leapfrog(BANANA, end, end_grad, momentum, step, 25, mix)
        torch.testing.assert_close(back[0], u, rtol=0, atol=1e-12)
        torch.testing.assert_close(back[3].abs(), p.abs(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mix", [None, TILTED], ids=["units", "tilted units"])
def test_the_leapfrog_map_keeps_volume(mix):
    def score(u):  # in closed form, so that autograd goes through the whole map
        x, y = u.unbind(1)
        bend = y - x.square() / 2
        return torch.stack([-x + bend * x, -bend + 2 * torch.exp(-2 * y - 2)], 1)

    class Followed(Target):
        def value_and_grad(self, u):
            return banana(u), score(u)

    target = Followed(banana)
    u, p = start(5)
    torch.testing.assert_close(score(u), BANANA.value_and_grad(u)[1])

    def move(point):
        at, momentum = point[:2].unsqueeze(0), point[2:].unsqueeze(0)
        end, _, _, end_p = leapfrog(target, at, score(at), momentum, STEP, 12, mix)
        return torch.cat([end[0], end_p[0]])

    for point in torch.cat([u, p], 1):
        jacobian = torch.autograd.functional.jacobian(move, point)
        assert float((jacobian - torch.eye(4)).abs().max()) > 0.1
        assert float(torch.linalg.det(jacobian)) == pytest.approx(1, abs=1e-11)


def test_the_energy_error_of_a_trajectory_of_one_length_is_of_second_order():
    u, p = start()
    value, grad = BANANA.value_and_grad(u)
    errors = []
    for steps in (20, 40, 80, 160):
        _, end, _, end_p = leapfrog(BANANA, u, grad, p, every(1.6 / steps), steps)
        errors.append(float((end - kinetic(end_p) - value + kinetic(p)).square().mean().sqrt()))
    ratios = [a / b for a, b in pairwise(errors)]
    assert ratios[-1] == pytest.approx(4, rel=0.02) and all(r == pytest.approx(4, rel=0.2) for r in ratios)


def test_a_harmonic_trajectory_turns_as_the_leapfrog_map_does():
    """On N(0, 1) a step turns phase space by acos(1 - e^2 / 2), along an ellipse p^2 + (1 - e^2 / 4) u^2."""
    target, e = Target(lambda u: -0.5 * u.square().sum(1)), 0.7
    u, p = torch.ones(1, 1).double(), torch.zeros(1, 1).double()
    end, _, _, end_p = leapfrog(target, u, -u, p, every(e)[:, :1], 9)
    angle, narrow = 9 * math.acos(1 - e * e / 2), math.sqrt(1 - e * e / 4)
    assert float(end) == pytest.approx(math.cos(angle), abs=1e-12)
    assert float(end_p) == pytest.approx(-narrow * math.sin(angle), abs=1e-12)


# ---------------------------------------------------------------------------------------------------------- the kernel


@pytest.mark.parametrize("leapfrogs", [1, 3, 8])
def test_a_step_costs_as_many_gradients_as_leapfrogs(leapfrogs):
    ask, calls = counted(banana)
    target, kernel = Target(ask, event=Event((2,))), HMC(0.1, leapfrogs, jitter=0)
    run = Fixed(6, warmup=0).run(kernel, target, start()[0], Rows(0, 64, dtype=torch.float64))
    assert len(calls) == 1 + 6 * leapfrogs == run.gradients


def test_the_count_of_a_warm_up_is_honest_too():
    ask, calls = counted(banana)
    target = Target(ask, event=Event((2,)))
    draws = draw(target, 160, sampler=MCMC(HMC(), Long(16, warmup=60)), generator=0)
    assert draws.n_grad == sum(calls) and draws.evaluations == pytest.approx(sum(calls) / 160)


def test_trajectories_are_as_long_as_their_noise_says():
    u, p = start(4)
    noise = {"momentum": p, "accept": torch.zeros(4).double()}
    for kernel, uniform, expected in (
        (HMC(0.1, 10), 0.0, 2),
        (HMC(0.1, 10), 0.5, 10),
        (HMC(0.1, 10), 0.999, 18),
        (HMC(0.1, 10, jitter=0), None, 10),
        (HMC(0.1, 1), 0.0, 1),
        (HMC(0.1), 0.3, 1),
    ):
        given = noise if uniform is None else noise | {"length": torch.tensor(uniform)}
        assert kernel.step(BANANA, kernel.init(BANANA, u), given)[1].gradients == expected


def test_the_test_is_the_energy_error():
    u, p = start()
    kernel = HMC(0.6, 5, jitter=0)
    state = kernel.init(BANANA, u)
    end, value, grad, end_p = leapfrog(BANANA, u, state.grad, p, every(0.6), 5)
    gain = torch.nan_to_num(value - kinetic(end_p) - state.value + kinetic(p), nan=-math.inf)
    chance = gain.clamp(max=0).exp()
    after, info = kernel.step(BANANA, state, {"momentum": p, "accept": torch.full((64,), 0.5).double()})
    torch.testing.assert_close(info.acceptance, chance)
    taken = chance > 0.5
    assert 0 < int(taken.sum()) < 64
    torch.testing.assert_close(after.u, torch.where(taken.unsqueeze(1), end, u))
    torch.testing.assert_close(after.value, torch.where(taken, value, state.value))
    torch.testing.assert_close(after.grad, torch.where(taken.unsqueeze(1), grad, state.grad))


@pytest.mark.parametrize("factor", [torch.tensor([3.0, 0.2]).double().diag(), TILTED], ids=["units", "tilted units"])
def test_units_are_a_mass(factor):
    """A kernel with units S moves S v as one without moves v; where S is diagonal it may be given as its entries."""
    stretched = Target(lambda u: banana(torch.linalg.solve_triangular(factor, u.T, upper=False).T), event=Event((2,)))
    v, p = start()
    noise = {"momentum": p, "accept": torch.rand(64, generator=torch.Generator().manual_seed(0)).double()}
    kernel = HMC(0.4, 4, jitter=0)
    plain, _ = kernel.step(BANANA, kernel.init(BANANA, v), noise)
    state = kernel.init(stretched, v @ factor.T)
    diagonal = torch.equal(factor, factor.diagonal().diag())
    for scale in [factor, factor.diagonal().unsqueeze(0)] if diagonal else [factor]:
        moved, _ = kernel.step(stretched, replace(state, scale=scale), noise)
        torch.testing.assert_close(moved.u, plain.u @ factor.T)


def test_divergences_are_counted_and_refused():
    target = Target(lambda u: -1e4 * u.square().sum(1), event=Event((2,)))
    run = Fixed(10, warmup=0).run(HMC(0.02, 3, 0), target, 0.01 * start()[0], Rows(0, 64, dtype=torch.float64))
    assert run.divergences > 100
    assert bool(torch.isfinite(run.state.u).all())


def test_a_step_that_refuses_everything_is_named():
    target = Target(lambda u: -1e8 * u.square().sum(1), event=Event((2,)))
    with pytest.raises(ChainError, match=r"no chain accepted any of its 30 moves \(chain 0 .*step 30\)"):
        Fixed(30, warmup=0).run(HMC(1.0, 3), target, 1e-4 * start()[0], Rows(0, 64, dtype=torch.float64))


def test_its_draws_have_the_moments_of_a_correlated_gaussian():
    precision = torch.tensor([[2.0, -1.5], [-1.5, 2.0]], dtype=torch.float64)
    sampler = MCMC(HMC(), Long(32, warmup=200))
    draws = draw(lambda u: -0.5 * ((u @ precision) * u).sum(1), 8000, 2, sampler=sampler, generator=0)
    covariance = torch.linalg.inv(precision)
    assert bool((draws.rhat < 1.01).all()) and draws.divergences == 0
    torch.testing.assert_close(draws.samples.T.cov(), covariance, rtol=0.08, atol=0.05)


@pytest.mark.parametrize(
    "options", [{"step": 0.0}, {"leapfrogs": 0}, {"leapfrogs": 5000}, {"jitter": -0.1}, {"jitter": 1.5}]
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        HMC(**options)
