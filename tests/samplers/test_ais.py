"""Annealed importance sampling: log Z within its error, right weights, a bracket from both sides."""

import math
import warnings

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers.ais import AIS, bracket
from fairway.samplers.hmc import HMC
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC, draw
from fairway.samplers.target import Target
from fairway.samplers.weights import mean_weight, resampled

from .test_annealing import eight_modes, total_variation

LOG_Z = 5 * math.log(0.5) + 2.5 * math.log(2 * math.pi)


def shifted(u):
    """N(3, 0.5^2) in five dimensions, unnormalised."""
    return -2 * (u - 3).square().sum(1)


@pytest.mark.parametrize("kernel", [HMC(), Langevin(metropolis=True)])
def test_log_z_of_a_shifted_gaussian_is_within_three_standard_errors(kernel):
    draws = draw(shifted, 500, 5, sampler=MCMC(kernel, AIS()), generator=0)
    error = draws.info["log_Z_error"]
    assert abs(draws.log_Z - LOG_Z) < 3 * error < 0.3
    assert draws.info["ess"] > 100
    weights = torch.softmax(draws.log_weights, 0)
    assert float((weights @ draws.samples).mean()) == pytest.approx(3.0, abs=0.05)
    assert float(resampled(draws).samples.std()) == pytest.approx(0.5, abs=0.06)


def test_one_leap_is_plain_importance_sampling():
    sampler = MCMC(Langevin(metropolis=True), AIS((0.0, 1.0)))
    draws = draw(lambda u: -0.5 * (u / 0.8).square().sum(1), 20_000, 2, sampler=sampler, generator=0)
    exact = math.log(2 * math.pi * 0.64)
    assert abs(draws.log_Z - exact) < 4 * draws.info["log_Z_error"] < 0.05


def test_weights_are_unbiased_however_short_the_way():
    """E w = Z with three temperatures and a move at each, over 200 runs of 100 draws."""
    sampler = MCMC(Langevin(metropolis=True), AIS((0.0, 0.3, 1.0)))
    draws = draw(lambda u: -0.5 * (2 * u - 1).square().sum(1), 40_000, 1, sampler=sampler, generator=0)
    w = (draws.log_weights - math.log(math.sqrt(2 * math.pi) / 2)).exp()
    assert abs(float(w.mean()) - 1) < 4 * float(w.std()) / 200


def test_the_weights_put_the_shares_of_modes_right():
    draws = draw(eight_modes, 1000, 2, sampler=MCMC(Langevin(metropolis=True), AIS(100)), generator=0)
    assert abs(draws.log_Z) < 4 * draws.info["log_Z_error"] < 0.2
    assert total_variation(draws.samples) > 0.15
    assert total_variation(draws.samples, torch.softmax(draws.log_weights, 0)) < 0.1


def test_up_and_down_bracket_log_z():
    target = Target(shifted, event=Event((5,)))
    exact = 3 + 0.5 * Rows(9, 500, dtype=torch.float64).normal(5)
    rough, fine = (bracket(target, exact, driver=AIS(k), generator=0) for k in (3, 60))
    for found in (rough, fine):
        assert found.lower - 3 * found.forward.error < LOG_Z < found.upper + 3 * found.backward.error
    assert abs(fine.gap) < 0.3 < rough.gap


def test_the_upper_end_is_only_as_good_as_the_draws_it_starts_from():
    target = Target(shifted, event=Event((5,)))
    off = 2 + 0.5 * Rows(9, 200, dtype=torch.float64).normal(5)
    assert bracket(target, off, driver=AIS((0.0, 0.5, 1.0)), generator=0).upper < LOG_Z - 1


def test_a_kernel_without_a_test_is_warned_of():
    with pytest.warns(UserWarning, match="Metropolis"):
        draw(lambda u: -u.square().sum(1), 50, 1, sampler=MCMC(Langevin(0.01), AIS(5)), generator=0)


def test_the_same_seed_gives_the_same_weights_and_a_trace_of_the_way():
    sampler = MCMC(Langevin(metropolis=True), AIS(6, steps=2))
    draws = [draw(shifted, 30, 5, sampler=sampler, generator=4, trace=True) for _ in range(2)]
    assert torch.equal(draws[0].log_weights, draws[1].log_weights)
    assert draws[0].trace.shape == (5, 30, 5) and torch.equal(draws[0].trace[-1], draws[0].samples)


def test_a_longer_run_starts_with_the_rows_of_a_shorter_one():
    sampler = MCMC(Langevin(metropolis=True), AIS(6))
    few, many = (draw(shifted, n, 5, sampler=sampler, generator=4) for n in (10, 100))
    torch.testing.assert_close(few.samples, many.samples[:10])
    torch.testing.assert_close(few.log_weights, many.log_weights[:10])


def test_points_outside_the_support_weigh_nothing():
    target = Target(lambda u: torch.where(u[:, 0] > 0, -0.5 * u.square().sum(1), -math.inf), event=Event((1,)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draws = draw(target, 4000, sampler=MCMC(Langevin(metropolis=True), AIS(10)), generator=0)
    found = mean_weight(draws.log_weights)
    assert found.log_mean == pytest.approx(math.log(math.sqrt(2 * math.pi) / 2), abs=4 * found.error)
    assert bool((resampled(draws).samples > 0).all())


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match="at least two"):
        AIS(1)
    with pytest.raises(ValueError, match="std"):
        AIS(std=0.0)
