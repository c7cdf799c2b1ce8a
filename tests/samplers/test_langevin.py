"""Langevin's known bias on a Gaussian, none with the Metropolis test, and an honest temperature."""

from dataclasses import replace

import pytest
import torch
from scipy import stats

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers.driver import Fixed
from fairway.samplers.langevin import Langevin
from fairway.samplers.target import Target

NORMAL = Target(lambda u: -0.5 * u.square().sum(1))


def run(kernel, target, u, steps, warmup=0, seed=0):
    rows = Rows(seed, len(u), dtype=u.dtype)
    return Fixed(steps, warmup).run(kernel, replace(target, event=Event(tuple(u.shape[1:]))), u, rows)


@pytest.mark.parametrize("step", [0.2, 1.0, 2.0])
def test_variance_of_the_unadjusted_chain_on_a_gaussian(step):
    u = Rows(1, 20_000, dtype=torch.float64).normal(1)
    variance = float(run(Langevin(step), NORMAL, u, 60).state.u.var())
    assert variance == pytest.approx(1 / (1 - step / 4), rel=0.04)


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


@pytest.mark.parametrize(("noise", "temperature"), [(0.1, 0.01 / 0.5), (1.0, 2.0)])
def test_other_noises_warn_and_report_their_temperature(noise, temperature):
    with pytest.warns(UserWarning, match="temperature"):
        kernel = Langevin(0.5, noise=noise)
    assert kernel.effective_temperature == pytest.approx(temperature)


def test_the_reported_temperature_is_the_variance_of_the_draws():
    with pytest.warns(UserWarning):
        kernel = Langevin(0.05, noise=0.1)
    u = run(kernel, NORMAL, torch.zeros(10_000, 1, dtype=torch.float64), 300).state.u
    assert float(u.var()) == pytest.approx(kernel.effective_temperature, rel=0.06)


def test_the_clip_bounds_a_move():
    kernel, far = Langevin(0.1, clip=1.0), torch.full((4, 2), 1e6, dtype=torch.float64)
    state = kernel.init(NORMAL, far)
    torch.testing.assert_close(state.grad.norm(dim=1), torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("options", [{"step": 0.0}, {"metropolis": True, "noise": 0.1}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        Langevin(**options)
