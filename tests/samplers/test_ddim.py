"""DDIM's step: Bayes' posterior at eta = 1, Euler along the ratio at eta = 0, the law of a level at any eta."""

import math

import pytest
import torch

from fairway.models.diffusion.schedule import SCHEDULES, schedule_named
from fairway.samplers.ddim import DDIM, Ancestral, posterior_variance, towards
from fairway.samplers.noise_grid import Level


def levels(name):
    schedule = schedule_named(name)
    return Level.at(schedule, 0.7), Level.at(schedule, 0.4)


@pytest.mark.parametrize("name", SCHEDULES)
def test_eta_one_is_bayes(name):
    """q(u_s | u_t, u_0) from q(u_s | u_0) and q(u_t | u_s), two Gaussians, by their precisions."""
    here, there = levels(name)
    ratio = here.alpha / there.alpha
    step = here.sigma**2 - ratio**2 * there.sigma**2
    precision = 1 / there.sigma**2 + ratio**2 / step
    assert posterior_variance(here, there) == pytest.approx(1 / precision)
    u, data = torch.tensor([0.7], dtype=torch.float64), torch.tensor([-0.3], dtype=torch.float64)
    wanted = (there.alpha * data / there.sigma**2 + ratio * u / step) / precision
    torch.testing.assert_close(towards(u, data, here, there, 1 / precision), wanted)


@pytest.mark.parametrize("name", SCHEDULES)
def test_eta_zero_is_euler_along_the_ratio(name):
    here, there = levels(name)
    u, data = torch.tensor([0.7], dtype=torch.float64), torch.tensor([-0.3], dtype=torch.float64)
    eps = (u - here.alpha * data) / here.sigma
    x = u / here.alpha + (there.sigma / there.alpha - here.sigma / here.alpha) * eps
    torch.testing.assert_close(towards(u, data, here, there), there.alpha * x)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_any_eta_keeps_the_law_of_a_level(eta):
    """One point as the data: u_s ~ N(alpha_s u_0, sigma_s^2) after any step from u_t ~ N(alpha_t u_0, sigma_t^2)."""
    here, there = levels("vp")
    generator, point = torch.Generator().manual_seed(0), 1.3
    noise = lambda: torch.randn(200_000, generator=generator, dtype=torch.float64)  # noqa: E731
    rule = DDIM(eta=eta).rule(lambda u, level: torch.full_like(u, point), noise, None)
    u = rule(here.alpha * point + here.sigma * noise(), here, there)
    assert float(u.mean()) == pytest.approx(there.alpha * point, abs=5 * there.sigma / math.sqrt(len(u)))
    assert float(u.std()) == pytest.approx(there.sigma, rel=0.01)


def test_ancestral_is_eta_one():
    assert Ancestral().eta == 1.0
    assert DDIM().eta == 0.0
