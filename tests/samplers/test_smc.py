"""Sequential Monte Carlo: the right constant with an honest error, the right law, and clear refusals."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.models.classical.gaussian import Gaussian
from fairway.samplers import HMC, SMC, ChainError, Fixed, Langevin, RandomWalk, draw
from fairway.samplers.mcmc import MCMC

ANGLES = torch.arange(8, dtype=torch.float64) * math.pi / 4
MODES = 4 * torch.stack([ANGLES.cos(), ANGLES.sin()], 1)
SHARES = torch.arange(1, 9, dtype=torch.float64) / 36


def eight_modes(u):
    squares = (u.unsqueeze(1) - MODES).square().sum(2)
    return torch.logsumexp(SHARES.log() - squares / 0.08 - math.log(2 * math.pi * 0.04), 1)


def shifted(u):
    """N(2, diag(1, 4, 0.25)) without its constant."""
    return -0.5 * ((u - 2) / torch.tensor([1.0, 2.0, 0.5])).square().sum(1)


LOG_Z = 1.5 * math.log(2 * math.pi)


@pytest.mark.parametrize("kernel", [HMC(), Langevin(metropolis=True), RandomWalk()], ids=lambda k: k.name())
@pytest.mark.parametrize("pilot", [0, 512])
def test_log_z_of_a_shifted_gaussian_within_three_errors(kernel, pilot):
    draws = draw(shifted, 1000, 3, sampler=MCMC(kernel, SMC(2048, pilot)), generator=1)
    error = draws.info["log_Z_error"]
    assert abs(draws.log_Z - LOG_Z) < 3 * error
    assert error < (0.1 if pilot == 0 else 0.04)


def test_the_error_is_honest():
    """Over 30 seeds (estimate - truth) / error is about standard normal: mean within 4 / sqrt(30), variance near 1."""
    runs = [
        draw(shifted, 64, 3, sampler=MCMC(Langevin(metropolis=True), SMC(640, 128)), generator=i) for i in range(30)
    ]
    z = torch.tensor([(r.log_Z - LOG_Z) / r.info["log_Z_error"] for r in runs])
    assert abs(float(z.mean())) < 4 / math.sqrt(30)
    assert 0.6 < float(z.std()) < 1.6


def test_draws_are_the_targets():
    draws = draw(shifted, 4000, 3, sampler=MCMC(HMC(), SMC(4096)), generator=0)
    mean, std = torch.full((3,), 2.0).double(), torch.tensor([1.0, 2.0, 0.5]).double()
    assert bool(((draws.samples.mean(0) - mean).abs() < 4 * std / draws.ess.sqrt()).all())
    torch.testing.assert_close(draws.samples.std(0), std, rtol=0.1, atol=0)
    assert bool((draws.ess > 800).all())


def test_eight_modes_get_their_shares_and_the_constant():
    draws = draw(eight_modes, 4000, 2, sampler="smc", generator=0)
    found = torch.bincount((draws.samples.unsqueeze(1) - MODES).square().sum(2).argmin(1), minlength=8) / 4000
    assert float((found - SHARES).abs().sum() / 2) <= 0.04
    assert abs(draws.log_Z) <= 0.05


def test_a_far_and_badly_conditioned_target_is_reached():
    def far(u):
        v = torch.stack([u[:, 0], 300 * (u[:, 1] - u[:, 0])], 1)
        return -0.5 * (v - torch.tensor([30.0, 0.0])).square().sum(1)

    draws = draw(far, 1000, 2, sampler=MCMC(HMC(), SMC(2048)), generator=0)
    assert abs(draws.log_Z - math.log(2 * math.pi / 300)) < 4 * draws.info["log_Z_error"] < 0.3
    torch.testing.assert_close(draws.samples.mean(0), torch.tensor([30.0, 30.0]).double(), atol=0.2, rtol=0)


def test_same_seed_and_number_give_the_same_draws():
    sampler = MCMC(HMC(), SMC(128, 64))
    one, two = (draw(shifted, 100, 3, sampler=sampler, generator=5) for _ in range(2))
    assert torch.equal(one.samples, two.samples) and one.log_Z == two.log_Z
    assert not torch.equal(one.samples, draw(shifted, 100, 3, sampler=sampler, generator=6).samples)


def test_what_the_run_says_of_itself():
    draws = draw(shifted, 100, 3, sampler=MCMC(HMC(), SMC(128, 64)), generator=5, trace=True)
    betas, info = draws.info["betas"], draws.info
    assert betas[0] == 0 and betas[-1] == 1 and betas == sorted(betas)
    assert len(info["shares"]) == len(info["moves"]) == len(info["acceptances"]) == len(betas) - 1
    assert all(share >= 0.69 for share in info["shares"])
    assert draws.trace.shape == (len(betas), 128, 3)
    assert draws.samples.shape == (100, 3) and len(info["island_log_Z"]) == 2


def test_half_the_space_without_density_halves_the_constant():
    def half(u):
        inside = -0.5 * u.square().sum(1)
        return torch.where(u[:, 0] > 0, inside, torch.where(u[:, 1] > 0, -math.inf, math.nan))

    draws = draw(half, 1000, 2, sampler=MCMC(RandomWalk(), SMC(2048)), generator=0)
    assert abs(draws.log_Z - math.log(math.pi)) < 4 * draws.info["log_Z_error"]
    assert bool((draws.samples[:, 0] > 0).all())


def test_a_model_is_drawn_from_in_its_own_units():
    x = 3 + 2 * torch.randn(500, 2, dtype=torch.float64)
    model = Gaussian(Event((2,))).fit(x)
    assert abs(float(model.sample(2000, sampler="smc", generator=0).mean()) - 3) < 0.3


def test_refusals():
    with pytest.raises(ValueError, match="Metropolis"):
        draw(shifted, 10, 3, sampler=MCMC(Langevin(), SMC()), generator=0)
    with pytest.raises(ChainError, match="chain 0"):
        draw(lambda u: u.sum(1) * math.nan, 10, 3, sampler="smc", generator=0)
    with pytest.raises(ChainError, match="infinite"):
        draw(lambda u: torch.where(u[:, 0] > 0, math.inf, u[:, 0]), 10, 3, sampler="smc", generator=0)
    for wrong in ({"share": 1.0}, {"moves": 0}, {"std": 0.0}, {"particles": 64}, {"pilot": -1}):
        with pytest.raises(ValueError, match="expected"):
            SMC(**wrong)


def test_a_driver_is_registered_and_remembers_its_arguments():
    assert SMC.name() == "smc" and SMC(share=0.5).arguments["share"] == 0.5
    assert MCMC(HMC(), SMC()).coupled and Fixed.name() == "fixed"
