"""Discrete steps: the paper's products at the grid points, a smooth monotone curve between them, and its inverse."""

import itertools
import math

import pytest
import torch

from fairway.models.diffusion.discrete import BETAS, Discrete, betas_named, cosine_betas, linear_betas
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.schedule import Schedule
from fairway.samplers.ddim import posterior_variance
from fairway.samplers.noise_grid import Level

CASES = [("linear", 1000), ("linear", 250), ("linear", 25), ("cosine", 1000), ("cosine", 8)]


def schedule_of(name, levels):
    return Discrete(betas_named(name, levels))


@pytest.mark.parametrize(("name", "levels"), CASES)
def test_levels_are_the_products_of_the_papers_betas(name, levels):
    """Written out once more, in plain numbers."""
    if name == "linear":
        first, last = 0.1 / levels, 20 / levels
        betas = [first + (last - first) * i / (levels - 1) for i in range(levels)]
    else:
        f = [math.cos((i / levels + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(levels + 1)]
        betas = [min(1 - b / a, 0.999) for a, b in itertools.pairwise(f)]
    products = [1.0]
    for beta in betas:
        products.append(products[-1] * (1 - beta))
    alpha, sigma = schedule_of(name, levels)(torch.arange(levels + 1, dtype=torch.float64) / levels)
    wanted = torch.tensor(products, dtype=torch.float64)
    torch.testing.assert_close(alpha.square(), wanted, rtol=1e-10, atol=0)
    torch.testing.assert_close(sigma.square(), 1 - wanted, rtol=1e-10, atol=1e-13)


def test_published_posterior_variances():
    """Numbers of the tests of diffusers: the variance of q(x_s | x_t, x_0), their times one behind ours."""
    schedule = schedule_of("linear", 1000)
    published = {(487, 486): 0.00979, (999, 998): 0.02, (420, 400): 0.14771, (980, 960): 0.32460}
    for times, wanted in published.items():
        here, there = (Level.at(schedule, (time + 1) / 1000) for time in times)
        assert posterior_variance(here, there) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(("name", "levels"), CASES)
def test_a_monotone_curve_with_its_derivatives(name, levels):
    schedule = schedule_of(name, levels)
    t = (torch.arange(levels, dtype=torch.float64) + 0.37) / levels  # between the levels
    assert bool((schedule.log_snr(t).diff() < 0).all())
    torch.testing.assert_close(schedule.derivatives(t), Schedule.derivatives(schedule, t))
    torch.testing.assert_close(schedule.log_snr(t), Schedule.log_snr(schedule, t))
    near = [(a - b) / 2e-7 for a, b in zip(schedule(t + 1e-7), schedule(t - 1e-7), strict=True)]
    torch.testing.assert_close(schedule.derivatives(t), tuple(near), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("name", "levels"), CASES)
def test_slopes_are_continuous_across_the_levels(name, levels):
    schedule = schedule_of(name, levels)
    knots = torch.arange(1, levels, dtype=torch.float64) / levels
    before, after = schedule.derivatives(knots - 1e-9), schedule.derivatives(knots + 1e-9)
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "levels"), CASES)
def test_the_level_of_a_ratio(name, levels):
    schedule = schedule_of(name, levels)
    t = torch.linspace(1e-3, 1, 501, dtype=torch.float64)
    torch.testing.assert_close(schedule.at_log_snr(schedule.log_snr(t)), t, atol=1e-10, rtol=0)
    inside = t[:-1]
    torch.testing.assert_close(Schedule.at_log_snr(schedule, schedule.log_snr(inside)), inside, atol=1e-10, rtol=0)
    beyond = torch.tensor([200.0, -200.0], dtype=torch.float64)
    torch.testing.assert_close(schedule.at_log_snr(beyond), torch.tensor([0.0, 1.0], dtype=torch.float64))


def test_single_precision_keeps_the_small_levels():
    schedule = schedule_of("linear", 1000)
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    for got, wanted in zip(schedule(t.float()), schedule(t), strict=True):
        torch.testing.assert_close(got.double(), wanted, rtol=1e-4, atol=0)
    assert {t.dtype for t in schedule._at_hand.values()} == {torch.float32, torch.float64}


def test_its_flow_is_a_density_like_any_others(mixture):
    """The probability flow of an exact denoiser gives back the law at t = 0, but for the signal left at t = 1."""
    model = MixtureDenoiser(*mixture, schedule=schedule_of("linear", 1000)).double()
    x = torch.tensor([[-1.0, 0.4], [0.9, 0.8], [0.6, -1.0]], dtype=torch.float64)
    exact = model.log_prob_at(x, torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(model.log_prob(x), exact, atol=2e-3, rtol=0)


def test_wrong_betas_are_refused():
    with pytest.raises(ValueError, match="linear, cosine"):
        betas_named("line", 10)
    with pytest.raises(ValueError, match="at least 21"):
        linear_betas(20)
    with pytest.raises(ValueError, match="at least 2"):
        betas_named("cosine", 1)
    for wrong in (torch.ones(3), torch.zeros(3), torch.tensor([0.1]), torch.rand(2, 2)):
        with pytest.raises(ValueError, match="expected betas"):
            Discrete(wrong)
    assert set(BETAS) == {"linear", "cosine"} and len(cosine_betas(7)) == 7
