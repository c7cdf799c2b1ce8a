"""Schedules: ends, written derivatives against forward-mode differentiation, and the inverse of the signal-to-noise."""

import pytest
import torch

from fairway.models.diffusion.schedule import EDM, SCHEDULES, VE, VP, Schedule, schedule_named

INSIDE = torch.linspace(1e-3, 1 - 1e-3, 41, dtype=torch.float64)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_from_data_to_pure_noise(name):
    alpha, sigma = schedule_named(name)(torch.tensor([0.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(alpha, torch.tensor([1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(sigma, torch.tensor([0.0, 1.0], dtype=torch.float64))


def test_what_each_keeps():
    (vp, s), (sub, r) = schedule_named("vp")(INSIDE), schedule_named("sub_vp")(INSIDE)
    torch.testing.assert_close(vp.square() + s.square(), torch.ones_like(vp))
    torch.testing.assert_close(sub, vp)
    torch.testing.assert_close(r, s.square())
    for name, ends in (("ve", [0.01, 50.0]), ("edm", [0.002, 80.0])):
        alpha, sigma = schedule_named(name)(torch.tensor([0.0, 1.0], dtype=torch.float64))
        torch.testing.assert_close(sigma, torch.tensor(ends, dtype=torch.float64))
        assert bool((alpha == 1).all())


def test_vp_is_the_integral_of_its_rate():
    """d log alpha = -beta / 2 dt with beta linear from 0.1 to 20, by the trapezoid rule, exact for a line."""
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    log_alpha = -torch.cumulative_trapezoid(0.1 + 19.9 * t, t) / 2
    torch.testing.assert_close(VP()(t[1:])[0].log(), log_alpha)


@pytest.mark.parametrize("name", SCHEDULES)
def test_noise_takes_over(name):
    assert bool((schedule_named(name).log_snr(INSIDE).diff() < 0).all())


@pytest.mark.parametrize("name", SCHEDULES)
def test_derivatives_are_those_of_the_functions(name):
    t, schedule = INSIDE[1:-1], schedule_named(name)
    torch.testing.assert_close(schedule.derivatives(t), Schedule.derivatives(schedule, t))
    near = [(a - b) / 2e-6 for a, b in zip(schedule(t + 1e-6), schedule(t - 1e-6), strict=True)]
    torch.testing.assert_close(schedule.derivatives(t), tuple(near), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_level_of_a_ratio(name):
    schedule = schedule_named(name)
    ratio = schedule.log_snr(INSIDE)
    torch.testing.assert_close(schedule.at_log_snr(ratio), INSIDE, atol=1e-10, rtol=0)
    torch.testing.assert_close(Schedule.at_log_snr(schedule, ratio), INSIDE, atol=1e-10, rtol=0)


def test_how_much_signal_is_left():
    assert [schedule_named(name).signal_left < 1e-15 for name in ("linear", "cosine")] == [True, True]
    assert schedule_named("vp").signal_left == pytest.approx(6.6e-3, rel=0.01)  # exp(-(0.1 + 20) / 4)
    assert schedule_named("edm").signal_left == 1 / 80


def test_wrong_names_and_ends_are_refused():
    with pytest.raises(ValueError, match="linear"):
        schedule_named("liner")
    for wrong in (lambda: VP(0.0), lambda: VE(2.0, 1.0), lambda: EDM(least=-1.0), lambda: EDM(rho=0.0)):
        with pytest.raises(ValueError, match="expected"):
            wrong()


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_within_its_inside_a_schedule_has_data_and_noise(name):
    """And an end that has both is not cut off."""
    schedule = schedule_named(name)
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    alpha, sigma = schedule(torch.tensor(schedule.inside, dtype=torch.float64))
    assert bool((alpha > 0).all() and (sigma > 0).all())
    whole = tuple(float(end) for end, a, s in zip(ends, *schedule(ends), strict=True) if a > 0 and s > 0)
    assert set(whole) <= set(schedule.inside)
