"""Replicas that swap: the joint law stays, round trips are counted, temperatures settle where swaps are even."""

import math

import pytest
import torch
from scipy.stats import kstest

from fairway.core.random import Rows
from fairway.samplers import HMC, ChainError, Langevin, ParallelTempering, RandomWalk, draw
from fairway.samplers.driver import Fixed
from fairway.samplers.mcmc import MCMC
from fairway.samplers.parallel_tempering import Replicas, spread
from fairway.samplers.pilot import Ladder
from fairway.samplers.swaps import swap_chance
from fairway.samplers.target import Tempered, function_target

BETAS = torch.tensor([0.0, 0.1, 0.4, 1.0], dtype=torch.float64)
MEAN, PRECISION = 3.0, 4.0  # of the target, N(3, 1/4)
ANGLES = torch.arange(8, dtype=torch.float64) * math.pi / 4
MODES = 4 * torch.stack([ANGLES.cos(), ANGLES.sin()], 1)
SHARES = torch.arange(1, 9, dtype=torch.float64) / 36


def eight_modes(u):
    squares = (u.unsqueeze(1) - MODES).square().sum(2)
    return torch.logsumexp(SHARES.log() - squares / 0.08 - math.log(2 * math.pi * 0.04), 1)


def total_variation(x):
    found = torch.bincount((x.unsqueeze(1) - MODES).square().sum(2).argmin(1), minlength=8) / len(x)
    return float((found - SHARES).abs().sum() / 2)


def bowl():
    return function_target(lambda u: -0.5 * PRECISION * (u - MEAN).square().sum(1), 1)


def tempered_law():
    """Mean and standard deviation (K, 1, 1) of pi_beta = N(0, 1)^(1 - beta) N(3, 1/4)^beta, a normal again."""
    precision = 1 + BETAS * (PRECISION - 1)
    return (BETAS * PRECISION * MEAN / precision).reshape(-1, 1, 1), precision.rsqrt().reshape(-1, 1, 1)


def replicas(kernel, chains, step=0.8):
    mean, std = tempered_law()
    u = mean + std * torch.randn(4, chains, 1, dtype=torch.float64)
    steps = torch.full((4,), step, dtype=torch.float64)
    ladder = Ladder(BETAS, steps, torch.zeros(4, 1).double(), torch.ones(4, 1).double(), torch.zeros(4))
    return Replicas(kernel, Tempered(bowl()), ladder, 1, Rows(3, chains, 0, torch.float64), u)


@pytest.mark.parametrize("kernel", [HMC(), Langevin(metropolis=True), RandomWalk()], ids=lambda k: k.name())
def test_exact_draws_stay_exact_at_every_temperature(kernel):
    run = replicas(kernel, 20_000)
    run.go(6)
    mean, std = tempered_law()
    z = ((run.u - mean) / std)[..., 0]
    assert min(kstest(row.numpy(), "norm").pvalue for row in z) > 1e-4
    assert float((z[1:] * z[:-1]).mean(1).abs().max()) < 0.04  # the temperatures stay independent


def test_a_swap_that_looks_the_wrong_way_would_be_seen(monkeypatch):
    module = "fairway.samplers.parallel_tempering.swap_chance"
    monkeypatch.setattr(module, lambda betas, f: swap_chance(betas, -f))
    run = replicas(HMC(), 20_000)
    run.go(6)
    mean, std = tempered_law()
    assert kstest(((run.u - mean) / std)[-1, :, 0].numpy(), "norm").pvalue < 1e-10


def test_f_travels_with_its_replica():
    run = replicas(HMC(), 50)
    run.go(3)
    torch.testing.assert_close(run.f.flatten(), run.path.f(run.u.flatten(0, 1)))


def test_all_modes_are_visited_where_langevin_and_hmc_stay():
    """Chains that start at one mode: without temperatures they stay; replicas find the others and their shares."""
    start = MODES[:1].expand(64, 2) + 0.2 * torch.randn(64, 2)
    for kernel in (Langevin(0.01), HMC()):
        stuck = draw(eight_modes, 64, 2, sampler=MCMC(kernel, Fixed(100, 50)), init=start, generator=0)
        assert total_variation(stuck.samples) > 0.9
    draws = draw(eight_modes, 4000, 2, sampler="parallel_tempering", generator=0)
    assert total_variation(draws.samples) <= 0.05
    assert draws.info["round_trips"] > 1000
    assert abs(draws.log_Z) < 4 * draws.info["log_Z_error"] < 0.1


def test_the_warm_up_makes_swaps_even():
    sampler = MCMC(Langevin(metropolis=True), ParallelTempering(64, 6, warmup=100, rounds=60))
    swaps = draw(eight_modes, 64, 2, sampler=sampler, generator=0).info["swap_acceptance"]
    assert float(swaps.min()) > 0.2 and float(swaps.max() - swaps.min()) < 0.15


def test_what_the_run_says_of_itself():
    sampler = MCMC(HMC(), ParallelTempering(8, (0.0, 0.2, 1.0), warmup=20, rounds=12))
    one, two = (draw(bowl(), 100, sampler=sampler, generator=5, trace=True) for _ in range(2))
    assert torch.equal(one.samples, two.samples) and one.log_Z == two.log_Z
    assert one.samples.shape == (100, 1) and one.trace.shape == (13, 8, 1) and one.info["rounds"] == 13
    assert one.info["betas"].tolist() == [0.0, 0.2, 1.0]
    assert one.rhat is not None and one.n_grad > 8 * 2 * 13


def test_draws_are_of_all_chains_in_rounds_that_lie_evenly():
    draws = torch.arange(100 * 8).reshape(100, 8)
    picked = spread(draws, 80)
    assert torch.bincount(picked % 8).tolist() == [10] * 8
    assert (picked // 8).unique().diff().tolist() == [10] * 9
    assert spread(draws, 5).tolist() == draws[-1, :5].tolist()


def test_refusals():
    with pytest.raises(ValueError, match="Metropolis"):
        draw(bowl(), 10, sampler=MCMC(Langevin(), ParallelTempering()), generator=0)
    with pytest.raises(ChainError, match="chain 0"):
        draw(lambda u: u.sum(1) * math.nan, 10, 3, sampler="parallel_tempering", generator=0)
    for wrong in ({"chains": 0}, {"betas": 1}, {"betas": (0.1, 1.0)}, {"std": 0.0}, {"rounds": 0}):
        with pytest.raises(ValueError, match="expected"):
            ParallelTempering(**wrong)
