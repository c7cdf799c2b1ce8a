"""Heun's step along the ratio, and what churn does to the law of a level."""

import math

import pytest
import torch

from fairway.models.diffusion.schedule import SCHEDULES, schedule_named
from fairway.samplers.heun import MOST_CHURN, Heun, _churned
from fairway.samplers.noise_grid import Level


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_is_the_mean_of_two_slopes(name):
    """In x = u / alpha and r = sigma / alpha, for an estimate that depends on the level."""
    here, there = (Level.at(schedule_named(name), t) for t in (0.7, 0.5))
    u, predict = torch.tensor([0.8], dtype=torch.float64), lambda u, level: 0.3 * u + level.t
    x, r, s = u / here.alpha, here.sigma / here.alpha, there.sigma / there.alpha
    first = (x - predict(u, here)) / r
    euler = x + (s - r) * first
    second = (euler - predict(there.alpha * euler, there)) / s
    wanted = there.alpha * (x + (s - r) * (first + second) / 2)
    torch.testing.assert_close(Heun().rule(predict, torch.empty, None)(u, here, there), wanted)


@pytest.mark.parametrize("name", SCHEDULES)
def test_churn_leads_to_the_law_of_the_level_above(name):
    schedule, generator = schedule_named(name), torch.Generator().manual_seed(0)
    here, point = Level.at(schedule, 0.4), 0.6
    u = here.alpha * point + here.sigma * torch.randn(200_000, generator=generator, dtype=torch.float64)
    noise = torch.randn(200_000, generator=generator, dtype=torch.float64)
    found, back = _churned(u, here, 0.3, noise, schedule)
    assert back.sigma / back.alpha == pytest.approx(1.3 * here.sigma / here.alpha)
    assert float(found.mean()) == pytest.approx(back.alpha * point, abs=5 * back.sigma / math.sqrt(len(u)))
    assert float(found.std()) == pytest.approx(back.sigma, rel=0.01)


def test_churn_is_bounded_in_a_step_and_ends_at_pure_noise():
    schedule = schedule_named("edm")
    high = Level.at(schedule, 0.999)
    _, back = _churned(torch.zeros(1), high, MOST_CHURN, torch.zeros(1), schedule)
    assert back.t == 1.0
    assert pytest.approx(2**0.5 - 1) == MOST_CHURN
