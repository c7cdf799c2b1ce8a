"""DPM-Solver++: exact where the estimate is constant or linear along the path; its noise is that of the level."""

import math

import pytest
import torch

from fairway.models.diffusion.schedule import SCHEDULES, schedule_named
from fairway.samplers.dpm_solver import DPMSolver, DPMSolverSDE
from fairway.samplers.noise_grid import Level, noise_levels


def half_log_snr(level):
    return math.log(level.alpha / level.sigma)


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_step_is_exact_for_one_point(name):
    here, there = (Level.at(schedule_named(name), t) for t in (0.8, 0.2))
    eps = torch.tensor([-0.4, 1.1], dtype=torch.float64)
    rule = DPMSolver().rule(lambda u, level: torch.full_like(u, 0.9), torch.empty, None)
    found = rule(here.alpha * 0.9 + here.sigma * eps, here, there)
    torch.testing.assert_close(found, there.alpha * 0.9 + there.sigma * eps)


def test_the_second_step_follows_a_line_to_third_order():
    """D = a + b l along l = log(alpha / sigma): u_s by the integral; the rule is off by b h^3 / 12, not b h^2 / 2."""
    schedule, b = schedule_named("ve"), 0.6
    errors = []
    for h in (0.2, 0.1):
        first = half_log_snr(Level.at(schedule, 0.5))
        times = schedule.at_log_snr(2 * torch.tensor([first, first + h, first + 2 * h], dtype=torch.float64)).tolist()
        one, two, three = (Level.at(schedule, t) for t in times)
        rule = DPMSolver().rule(lambda u, level: b * (u * 0 + half_log_snr(level)), torch.empty, None)
        u = torch.zeros(1, dtype=torch.float64)
        rule(u, one, two)
        # u_s / sigma_s = u_t / sigma_t + int e^l D(l) dl
        start, end = half_log_snr(two), half_log_snr(three)
        integral = b * (math.exp(end) * (end - 1) - math.exp(start) * (start - 1))
        errors.append(abs(float(rule(u, two, three)) / three.sigma - integral) / math.exp(start))
    assert errors[0] == pytest.approx(b * 0.2**3 / 12, rel=0.2)
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.2)


def test_noise_of_the_stochastic_rule():
    """One point as the data: the law of the next level, whatever the step."""
    schedule, generator = schedule_named("vp"), torch.Generator().manual_seed(0)
    noise = lambda: torch.randn(200_000, generator=generator, dtype=torch.float64)  # noqa: E731
    rule = DPMSolverSDE().rule(lambda u, level: torch.full_like(u, -0.7), noise, None)
    here, there = (Level.at(schedule, t) for t in (0.6, 0.3))
    u = rule(-0.7 * here.alpha + here.sigma * noise(), here, there)
    assert float(u.mean()) == pytest.approx(-0.7 * there.alpha, abs=5 * there.sigma / math.sqrt(len(u)))
    assert float(u.std()) == pytest.approx(there.sigma, rel=0.01)


def test_from_pure_noise_the_first_step_is_an_estimate():
    levels = noise_levels(schedule_named("linear"), 3)
    assert levels[0].alpha == 0
    rule = DPMSolver().rule(lambda u, level: torch.full_like(u, 2.0), torch.empty, None)
    u = rule(torch.ones(1, dtype=torch.float64), *levels[:2])
    torch.testing.assert_close(u, torch.tensor([levels[1].sigma + 2 * levels[1].alpha], dtype=torch.float64))
    assert bool(rule(u, *levels[1:]).isfinite())
