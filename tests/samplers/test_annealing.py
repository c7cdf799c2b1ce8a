"""Simulated annealing: exact at both ends of the path, all modes on the way, wrong shares at the end."""

import math

import pytest
import torch

from fairway.core.capability import HasEnergy
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.random import Rows
from fairway.samplers.annealing import Annealed, anneal
from fairway.samplers.driver import Book
from fairway.samplers.hmc import HMC
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC, draw
from fairway.samplers.metropolis import RandomWalk
from fairway.samplers.nuts import NUTS
from fairway.samplers.pilot import pilot
from fairway.samplers.target import Reference, Target, Tempered
from fairway.testing.statistics import ALARM, smirnov_p

ANGLES = torch.arange(8, dtype=torch.float64) * math.pi / 4
CENTRES = 4 * torch.stack([ANGLES.cos(), ANGLES.sin()], 1)
SHARES = torch.arange(1, 9, dtype=torch.float64) / 36


def eight_modes(u):
    """log density of 8 Gaussians of sd 0.2 on a circle of radius 4, weights 1:...:8."""
    squares = (u.unsqueeze(1) - CENTRES).square().sum(2)
    return torch.logsumexp(SHARES.log() - squares / 0.08, 1) - math.log(2 * math.pi * 0.04)


def total_variation(samples, weights=None):
    found = torch.bincount(torch.cdist(samples, CENTRES).argmin(1), weights=weights, minlength=8)
    return float((found / found.sum() - SHARES).abs().sum() / 2)


PATH = Tempered(Target(eight_modes, event=Event((2,))), Reference(std=1.5))


def test_the_path_ends_at_exactly_the_target_and_starts_at_exactly_q():
    u = 3 * Rows(0, 200, dtype=torch.float64).normal(2)
    for beta in (1.0, torch.ones(200, dtype=torch.float64)):
        value, grad = PATH.at(beta).value_and_grad(u)
        expected, slope = PATH.target.value_and_grad(u)
        assert torch.equal(value, expected) and torch.equal(grad, slope)
        assert torch.equal(PATH.at(beta).value(u), expected)
    for beta in (0.0, torch.zeros(200, dtype=torch.float64)):
        value, grad = PATH.at(beta).value_and_grad(u)
        q = torch.distributions.Normal(0.0, 1.5)
        torch.testing.assert_close(value, q.log_prob(u).sum(1))
        torch.testing.assert_close(grad, -u / 1.5**2)


def test_on_the_way_the_density_is_exp_beta_f_times_q():
    u = Rows(1, 50, dtype=torch.float64).normal(2)
    expected = 0.3 * PATH.f(u) + PATH.reference.log_prob(u)
    torch.testing.assert_close(PATH.at(0.3).value(u), expected)
    point = u.clone().requires_grad_()
    (0.3 * eight_modes(point) + 0.7 * PATH.reference.log_prob(point)).sum().backward()
    torch.testing.assert_close(PATH.at(0.3).value_and_grad(u)[1], point.grad)


@pytest.mark.parametrize("kernel", [Langevin(metropolis=True), RandomWalk()])
def test_chains_at_beta_zero_that_start_from_q_stay_q(kernel):
    rows = Rows(0, 10_000, dtype=torch.float64)
    ladder = pilot(kernel, PATH, Rows(1, 64, dtype=torch.float64))
    start = PATH.reference.sample(rows, (2,))
    state, _ = anneal(
        kernel, PATH, start, ladder, rows.spawn(1), order=range(0, 1), steps=10, book=Book(0)
    )  # from the reversed end: the step before 0 is 1, so only the moves count here
    fresh = PATH.reference.sample(rows.spawn(2), (2,))
    for entry in range(2):
        assert smirnov_p(state.u[:, entry], fresh[:, entry]) > ALARM
    assert smirnov_p(state.u.norm(dim=1), fresh.norm(dim=1)) > ALARM
    assert float(torch.cdist(state.u[:1], start[:1])) > 0


def test_annealing_finds_all_modes_and_keeps_wrong_shares():
    sampler = MCMC(Langevin(metropolis=True), Annealed())
    draws = draw(eight_modes, 1000, 2, sampler=sampler, generator=0)
    assert float(torch.cdist(draws.samples, CENTRES).amin(1).quantile(0.95)) < 0.6
    assert 0.15 < total_variation(draws.samples) < 0.3  # nearly equal shares are 0.222 away
    assert draws.acceptance == pytest.approx(0.574, abs=0.1)
    assert float(draws.info["betas"][0]) == 0 and float(draws.info["betas"][-1]) == 1


def test_annealed_draws_of_one_mode_are_right():
    sampler = MCMC(Langevin(metropolis=True), Annealed(betas=(0.0, 0.1, 1.0), steps=10))
    draws = draw(lambda u: -2 * (u - 1).square().sum(1), 4000, 2, sampler=sampler, generator=0)
    exact = 1 + 0.5 * Rows(5, 4000, dtype=torch.float64).normal(2)
    assert smirnov_p(draws.samples[:, 0], exact[:, 0]) > ALARM
    assert draws.info["betas"].tolist() == [0.0, 0.1, 1.0]
    assert float(draws.rhat.max()) < 1.05 and draws.ess.shape == (2,)


def test_the_same_seed_gives_the_same_draws_and_the_trace_is_that_of_the_target():
    sampler = MCMC(Langevin(0.1), Annealed(betas=3, steps=2, final=4))
    draws = [draw(lambda u: -u.square().sum(1), 20, 2, sampler=sampler, generator=3, trace=True) for _ in range(2)]
    assert torch.equal(draws[0].samples, draws[1].samples)
    assert draws[0].trace.shape == (4, 20, 2) and torch.equal(draws[0].trace[-1], draws[0].samples)


def test_chains_stay_inside_the_support():
    def half(u):
        return torch.where(u[:, 0] > 0, -0.5 * u.square().sum(1), -math.inf)

    draws = draw(half, 4000, 1, sampler=MCMC(Langevin(metropolis=True), Annealed(steps=10)), generator=0)
    exact = Rows(5, 4000, dtype=torch.float64).normal(1).abs()
    assert smirnov_p(draws.samples[:, 0], exact[:, 0]) > ALARM


class Bowl(HasEnergy, Model):
    def _log_unnorm(self, u, context=None):
        return -2 * u.square().sum(1)


def test_a_model_is_drawn_from_by_annealing():
    model = Bowl(Event((2,)))
    x = model.sample(500, sampler=MCMC(Langevin(metropolis=True), Annealed()), generator=0)
    assert float(x.std()) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("betas", [1, (0.0,), (0.1, 1.0), (0.0, 0.5), (0.0, 0.7, 0.7, 1.0)])
def test_temperatures_that_do_not_lead_from_0_to_1_are_refused(betas):
    with pytest.raises(ValueError, match="0"):
        Annealed(betas)


def test_wrong_lengths_are_refused():
    with pytest.raises(ValueError, match="steps"):
        Annealed(steps=0)


@pytest.mark.parametrize("kernel", [Langevin(metropolis=True), HMC(), NUTS()])
def test_each_row_has_the_target_of_its_own_context(kernel):
    class Line(HasEnergy, Model):
        accepts_context = ("real",)

        def _log_unnorm(self, u, context=None):
            return -2 * (u - context).square().sum(1)

    model = Line(Event((1,)), Event((1,))).double()
    contexts = torch.tensor([[-2.0], [0.0], [3.0]], dtype=torch.float64)
    x = model.sample(200, context=contexts, sampler=MCMC(kernel, Annealed(steps=5, final=30)), generator=0)
    torch.testing.assert_close(x.mean(1), contexts, atol=0.15, rtol=0)
