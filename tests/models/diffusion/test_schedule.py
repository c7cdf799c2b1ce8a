"""Schedules: ends, and written derivatives against forward-mode differentiation."""

import pytest
import torch

from fairway.models.diffusion.schedule import SCHEDULES, Schedule, schedule_named


@pytest.mark.parametrize("name", SCHEDULES)
def test_from_data_to_noise(name):
    alpha, sigma = schedule_named(name)(torch.tensor([0.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(alpha, torch.tensor([1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(sigma, torch.tensor([0.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("name", SCHEDULES)
def test_derivatives_are_those_of_the_functions(name):
    t, schedule = torch.linspace(0, 1, 7, dtype=torch.float64), schedule_named(name)
    torch.testing.assert_close(schedule.derivatives(t), Schedule.derivatives(schedule, t))
    near = [(a - b) / 2e-6 for a, b in zip(schedule(t + 1e-6), schedule(t - 1e-6), strict=True)]
    torch.testing.assert_close(schedule.derivatives(t), tuple(near), atol=1e-8, rtol=1e-6)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="linear"):
        schedule_named("liner")
