"""Langevin's known bias on a Gaussian, none with the Metropolis test, and an honest temperature."""

import math
from dataclasses import replace

import pytest
import torch
from scipy import stats

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers import draw
from fairway.samplers.driver import ChainError, Fixed
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC
from fairway.samplers.target import Target

NORMAL = Target(lambda u: -0.5 * u.square().sum(1))


def run(kernel, target, u, steps, warmup=0, seed=0):
    rows = Rows(seed, len(u), dtype=u.dtype)
    return Fixed(steps, warmup).run(kernel, replace(target, event=Event(tuple(u.shape[1:]))), u, rows)


def followed(kernel, mean, variance, steps):
    """Mean and variance after so many steps on N(0, 1), exactly: a step is linear, so two points of u and two of the
    noise, each of the right mean and variance, are enough."""
    sign = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]], dtype=torch.float64)
    bath = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=torch.float64)
    for _ in range(steps):
        u = mean + sign * math.sqrt(variance)
        end = kernel.step(NORMAL, kernel.init(NORMAL, u), {"move": bath})[0].u
        mean, variance = float(end.mean()), float(end.var(correction=0))
    return mean, variance


@pytest.mark.parametrize("step", [0.2, 1.0, 2.0, 3.9])
def test_its_own_law_on_a_gaussian(step):
    variance = 1 / (1 - step / 4)
    mean, kept = followed(Langevin(step), 0.0, variance, 3)
    assert kept == pytest.approx(variance, rel=1e-12) and mean == pytest.approx(0, abs=1e-12)
    assert followed(Langevin(step), 0.0, 1.0, 250)[1] == pytest.approx(variance)


def test_the_mean_decays_within_a_time_of_two():
    """Exactly (1 - dt / 2)^k after k steps, so e^(-t/2) at t = k dt as dt falls, with an error of first order."""
    errors = []
    for steps in (25, 50, 100):
        mean, _ = followed(Langevin(2.0 / steps), 3.0, 0.25, steps)
        assert mean == pytest.approx(3 * (1 - 1 / steps) ** steps, rel=1e-12)
        errors.append(mean - 3 * math.exp(-1.0))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.02) and errors[1] / errors[2] == pytest.approx(2, rel=0.01)


def test_the_error_of_the_variance_at_a_fixed_time_is_of_first_order():
    exact = 1 + (0.25 - 1) * math.exp(-2.0)
    errors = [followed(Langevin(2.0 / steps), 3.0, 0.25, steps)[1] - exact for steps in (25, 50, 100)]
    assert 1e-4 < abs(errors[2]) < 0.01
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05) and errors[1] / errors[2] == pytest.approx(2, rel=0.03)


def test_variance_of_a_run_on_a_gaussian():
    u = Rows(1, 20_000, dtype=torch.float64).normal(1)
    variance = float(run(Langevin(1.0), NORMAL, u, 30).state.u.var())
    assert variance == pytest.approx(1 / (1 - 1 / 4), rel=0.04)


def test_metropolis_is_exact_on_a_mixture():
    def log_prob(u):
        return torch.logsumexp(torch.stack([-0.5 * (u[:, 0] + 2) ** 2, -0.5 * ((u[:, 0] - 1) / 0.5) ** 2]), 0)

    u = Rows(2, 4000, dtype=torch.float64).normal(1) * 3
    end = run(Langevin(1.0, metropolis=True), Target(log_prob), u, 250, warmup=60).state.u[:, 0]

    def cdf(x):
        return (stats.norm.cdf(x, -2, 1) + 0.5 * stats.norm.cdf(x, 1, 0.5)) / 1.5

    assert stats.kstest(end.numpy(), cdf).pvalue > 0.001


def test_warm_up_reaches_the_wanted_acceptance():
    u = Rows(3, 200, dtype=torch.float64).normal(5) * 0.01
    target = Target(lambda u: -0.5 * (u / 0.01).square().sum(1))
    done = run(Langevin(1.0, metropolis=True), target, u, 100, warmup=300)
    assert float(done.acceptance.mean()) == pytest.approx(0.574, abs=0.08)


def test_a_bad_proposal_is_refused_and_the_chain_survives():
    target = Target(lambda u: torch.where(u[:, 0] < 0, torch.nan, -u[:, 0]))
    u = torch.full((50, 1), 0.1, dtype=torch.float64)
    end = run(Langevin(1.0, metropolis=True), target, u, 50).state
    assert bool((end.u > 0).all()) and bool(torch.isfinite(end.value).all())


@pytest.mark.parametrize("metropolis", [False, True])
def test_a_step_costs_one_gradient(metropolis):
    calls = []

    def log_prob(u):
        calls.append(len(u))
        return -0.5 * u.square().sum(1)

    done = run(Langevin(0.1, metropolis), Target(log_prob), Rows(0, 8, dtype=torch.float64).normal(3), 25)
    assert len(calls) == 26 == done.gradients


def test_the_metropolis_ratio_is_that_of_the_joint_density_of_move_and_return():
    kernel, h = Langevin(0.7, metropolis=True), 0.7
    target = Target(lambda u: -u.pow(4).sum(1))
    rows = Rows(4, 100, dtype=torch.float64)
    u, e = rows.normal(2), rows.normal(2)
    start = kernel.init(target, u)
    proposal = u + h / 2 * start.grad + math.sqrt(h) * e
    value, grad = target.value_and_grad(proposal)

    def log_move(a, grad_a, b):
        law = torch.distributions.Normal(a + h / 2 * grad_a, math.sqrt(h))
        return law.log_prob(b).sum(1)

    ratio = value + log_move(proposal, grad, u) - start.value - log_move(u, start.grad, proposal)
    after, info = kernel.step(target, start, {"move": e, "accept": torch.full((100,), 0.3, dtype=torch.float64)})
    torch.testing.assert_close(info.acceptance, ratio.clamp(max=0).exp())
    taken = (info.acceptance > 0.3).unsqueeze(1)
    assert 0 < int(taken.sum()) < 100
    torch.testing.assert_close(after.u, torch.where(taken, proposal, u))
    torch.testing.assert_close(after.grad, torch.where(taken, grad, start.grad))


# -------------------------------------------------------------------------------------------------------- temperature


@pytest.mark.parametrize(("noise", "temperature"), [(0.1, 0.01 / 0.5), (1.0, 2.0)])
def test_other_noises_warn_and_report_their_temperature(noise, temperature):
    with pytest.warns(UserWarning, match="temperature"):
        kernel = Langevin(0.5, noise=noise)
    assert kernel.effective_temperature == pytest.approx(temperature)


@pytest.mark.parametrize(
    ("gradient", "noise", "temperature"),
    [(1.0, 0.01, 5e-5), (10.0, 0.005, 1.25e-6), (180.0, 0.005, 6.94e-8), (0.5, 1.0, 1.0)],
)
def test_the_temperature_of_settings_used_for_images(gradient, noise, temperature):
    """u + a grad + s e is at s^2 / (2 a): a gradient times 10 with noise 0.005 is nearly a descent."""
    assert noise**2 / (2 * gradient) == pytest.approx(temperature, rel=1e-3)
    if temperature == 1:
        assert Langevin(2 * gradient, noise=noise).effective_temperature == pytest.approx(1)
        return
    with pytest.warns(UserWarning, match=f"draws at temperature {temperature:.3g}, not from the model itself"):
        kernel = Langevin(2 * gradient, noise=noise)
    assert kernel.effective_temperature == pytest.approx(temperature, rel=1e-3)


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.5])
def test_the_reported_temperature_is_the_variance_of_the_draws(noise):
    """p^(1/T) is N(0, T); the discretisation widens it by 1 / (1 - dt / 4)."""
    with pytest.warns(UserWarning):
        kernel = Langevin(0.05, noise=noise)
    _, variance = followed(kernel, 0.0, 1.0, 400)
    assert variance == pytest.approx(kernel.effective_temperature / (1 - 0.05 / 4), rel=1e-3)


def test_a_run_reports_its_temperature():
    with pytest.warns(UserWarning):
        kernel = Langevin(0.05, noise=0.1)
    draws = draw(lambda u: -0.5 * u.square().sum(1), 3000, 1, sampler=MCMC(kernel, Fixed(150)), generator=0)
    assert draws.effective_temperature == kernel.effective_temperature == pytest.approx(0.2)
    assert float(draws.samples.var()) == pytest.approx(0.2, rel=0.1)


# -------------------------------------------------------------------------------------------------------------- edges


def test_an_explosion_names_the_chain_and_the_step():
    target = Target(lambda u: -u.pow(4).sum(1))
    u = torch.zeros(30, 1, dtype=torch.float64)
    u[11] = 40.0
    with pytest.raises(ChainError, match=r"chain 11 is no longer a number at step [0-9]+: .*smaller step"):
        run(Langevin(0.1), target, u, 200)


def test_the_clip_bounds_a_move():
    kernel, far = Langevin(0.1, clip=1.0), torch.full((4, 2), 1e6, dtype=torch.float64)
    state = kernel.init(NORMAL, far)
    torch.testing.assert_close(state.grad.norm(dim=1), torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("options", [{"step": 0.0}, {"metropolis": True, "noise": 0.1}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        Langevin(**options)
