"""Simulated tempering goes between modes, and says how often."""

import math

import pytest
import torch

from fairway.samplers.driver import ChainError
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC, draw
from fairway.samplers.metropolis import RandomWalk
from fairway.samplers.simulated_tempering import Ledger, SimulatedTempering, effective, round_trips


def two(u):
    """0.75 N(-3, 0.4^2) + 0.25 N(3, 0.8^2), times e^2 / sqrt(2 pi): log Z = 2."""
    left = math.log(0.75 / 0.4) - 0.5 * ((u[:, 0] + 3) / 0.4).square()
    right = math.log(0.25 / 0.8) - 0.5 * ((u[:, 0] - 3) / 0.8).square()
    return 2 - 0.5 * math.log(2 * math.pi) + torch.logaddexp(left, right)


def test_draws_go_between_modes_with_their_weights():
    sampler = MCMC(Langevin(metropolis=True), SimulatedTempering(std=2.0, steps=2, warmup=150, rounds=150))
    draws = draw(two, 2000, 1, sampler=sampler, generator=0)
    assert float((draws.samples < 0).double().mean()) == pytest.approx(0.75, abs=0.07)
    assert abs(draws.log_Z - 2) < 4 * draws.info["log_Z_error"] < 0.5
    occupancy = draws.info["occupancy"]
    assert float(occupancy.sum()) == pytest.approx(1) and float((occupancy * len(occupancy) - 1).abs().max()) < 0.3
    assert draws.info["round_trips"] > 100
    assert 50 < float(draws.ess[0]) <= 2000
    assert draws.samples.shape == (2000, 1) and draws.rhat is None


def test_the_same_seed_gives_the_same_draws_and_few_draws_take_the_least_rounds():
    sampler = MCMC(Langevin(metropolis=True), SimulatedTempering(8, betas=3, steps=1, warmup=20, rounds=25))
    first, second = (draw(two, 10, 1, sampler=sampler, generator=5, trace=True) for _ in range(2))
    assert torch.equal(first.samples, second.samples)
    assert first.trace.shape == (25, 8, 1) and first.info["rounds"] == 25
    assert len(first.info["betas"]) == 3


def test_a_wrong_zeta_is_corrected_by_how_likely_the_ends_were():
    ledger = Ledger(torch.tensor([0.1, 3.0, 0.6], dtype=torch.float64))
    chance = torch.tensor([[0.5, 0.25, 0.25], [0.7, 0.15, 0.15]], dtype=torch.float64)
    ledger.write(torch.zeros(2, 1), torch.tensor([0, 2]), chance)
    value, error = ledger.log_Z()
    assert value == pytest.approx(0.5 + math.log(0.4 / 1.2))
    assert error == pytest.approx(abs((1.25 - 5 / 6) - (0.75 - 7 / 6)) / 2)  # of two chains, sd / sqrt(2)


def test_effective_draws_of_independent_and_of_stuck_chains():
    g = torch.Generator().manual_seed(0)
    free = torch.randn(100, 50, 1, generator=g)
    top = torch.ones(100, 50, dtype=torch.bool)
    assert float(effective(free, top)) == pytest.approx(5000, rel=0.5)
    stuck = torch.randn(1, 50, 1, generator=g).expand(100, 50, 1)
    assert float(effective(stuck, top)) == pytest.approx(50, rel=0.1)


def test_round_trips_start_and_end_at_the_reference():
    assert round_trips(torch.tensor([[2, 0, 2, 1, 0]]).T, 2) == 2
    assert round_trips(torch.tensor([[0, 1, 0, 1, 2]]).T, 2) == 0


def test_a_kernel_without_a_test_is_refused():
    with pytest.raises(ValueError, match="Metropolis"):
        draw(two, 10, 1, sampler=MCMC(Langevin(0.1), SimulatedTempering()), generator=0)


def test_chains_that_never_reach_the_target_say_so():
    driver = SimulatedTempering(4, betas=(0.0, 1.0), steps=1, warmup=1, rounds=1)
    with pytest.raises(ChainError, match="temperatures"):
        draw(lambda u: -1e4 * (u - 30).square().sum(1), 5, 1, sampler=MCMC(RandomWalk(), driver), generator=0)


def test_wrong_counts_are_refused():
    with pytest.raises(ValueError, match="counts"):
        SimulatedTempering(chains=0)
