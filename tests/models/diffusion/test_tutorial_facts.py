"""What the tutorial says of diffusion, with the exact score of a mixture in one dimension.

    x_t = x_0 + s sqrt(t) e,     p_t the law of x_t,     score = d log p_t / dx

    forward     noise alone, x + s sqrt(dt) e, or descent alone, x - (s^2 dt / 2) score: each leads from p_t to p_t+dt
                both together: from p_t to p_t+2dt, so the law of x_0 + N(0, 2 s^2 t), with the score of the law reached
    backward    flow step F: x + (s^2 dt / 2) score          Langevin step: F and noise, which leaves p_t where it is
                reverse step: x + s^2 dt score + s sqrt(dt) e  =  a flow step and a Langevin step, increments at one x
                                                               =  two flow steps, then noise, to O(dt^2)
    one step    p(x_t-dt | x_t) has mean x_t + s^2 dt score and variance s^2 dt (1 + s^2 dt score'), and is
                N(mean, s^2 dt) up to KL = (s^2 dt score')^2 / 4 + O(dt^3)

What a wrong start leaves behind, the fifth of its facts, is in tests/samplers/test_reverse_sde.py.
"""

import math
from itertools import pairwise

import pytest
import torch

from fairway.core.random import Rows
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.schedule import SCHEDULES, Schedule, schedule_named
from fairway.samplers.noise_grid import Level
from fairway.samplers.reverse_sde import ReverseSDE, coefficients

S = 1.3
WEIGHTS, MEANS, VARIANCES = (torch.tensor(v, dtype=torch.float64) for v in ([0.6, 0.4], [-1.2, 1.5], [0.2, 0.4]))
GRID = torch.linspace(-12, 12, 4001, dtype=torch.float64)


class Brownian(Schedule):
    """alpha = 1, sigma = s sqrt(t)."""

    def __call__(self, t):
        return torch.ones_like(t), S * t.sqrt()


def mixture(schedule=None):
    return MixtureDenoiser(WEIGHTS, MEANS[:, None], VARIANCES[:, None, None], schedule=schedule or Brownian()).double()


def score(model, x, t):
    """(n,) at x (n,)."""
    return model.score_at(x[:, None], t)[:, 0]


def density(model, x, t):
    return model.log_prob_at(x[:, None], torch.full_like(x, t)).exp()


def normal(x, mean, variance):
    return torch.exp(-0.5 * (x - mean).square() / variance) / math.sqrt(2 * math.pi * variance)


# ------------------------------------------------------------------------------------------------------------- forward
def forwards(model, x, steps, dt, level):
    """Noise and descent together; `level(t)` is the t of the score used at t."""
    rows = Rows(1, len(x), dtype=torch.float64)
    for k in range(steps):
        x = x + S * math.sqrt(dt) * rows.normal() - S**2 * dt / 2 * score(model, x, level(k * dt))
    return x


def drawn(n):
    """Draws of x_0."""
    rows = Rows(0, n, dtype=torch.float64)
    which = (rows.uniform() > WEIGHTS[0]).long()
    return MEANS[which] + VARIANCES[which].sqrt() * rows.normal()


def misfit(x, t):
    """Kolmogorov's sqrt(n) sup |F_n - F| against x_0 + N(0, s^2 t): beyond 1.95 once in a thousand under that law."""
    x, n = x.sort().values, len(x)
    z = (x[:, None] - MEANS) / (2 * (VARIANCES + S**2 * t)).sqrt()
    law = (WEIGHTS * (1 + torch.erf(z)) / 2).sum(1)
    return math.sqrt(n) * float((law - (torch.arange(n, dtype=torch.float64) + 0.5) / n).abs().max())


def test_noise_and_descent_together_double_the_variance():
    """With the score of the law that the process has by then, which at t is that of noise alone at 2 t."""
    x = forwards(mixture(), drawn(40_000), 200, 0.4 / 200, lambda t: 2 * t)
    assert misfit(x, 0.8) < 1.95
    assert misfit(x, 0.4) > 6


def test_with_the_score_of_noise_alone_they_do_not():
    """The score of p_t, two paragraphs later in the text, is another process: from N(0, 1), with q = 1 + s^2 t,
    dV/dt = s^2 (1 + V / q) has V = q (1 + log q), not 2 q - 1."""
    x = forwards(mixture(), drawn(40_000), 200, 0.4 / 200, lambda t: t)
    assert misfit(x, 0.8) > 4
    one = torch.ones(1, dtype=torch.float64)
    gaussian = MixtureDenoiser(one, 0 * one[:, None], one[:, None, None], schedule=Brownian()).double()
    n, q = 100_000, 1 + S**2 * 0.6
    x = forwards(gaussian, Rows(2, n, dtype=torch.float64).normal(), 150, 0.6 / 150, lambda t: t)
    wanted = q * (1 + math.log(q))
    error = wanted * math.sqrt(2 / n)
    assert float(x.var()) == pytest.approx(wanted, abs=4 * error + 0.005)
    assert 2 * q - 1 < wanted - 20 * error


@pytest.mark.parametrize("descent", [False, True], ids=["noise", "descent"])
def test_either_alone_follows_the_diffusion(descent):
    x, dt, rows = drawn(40_000), 0.4 / 200, Rows(3, 40_000, dtype=torch.float64)
    model = mixture()
    for k in range(200):
        step = -(S**2) * dt / 2 * score(model, x, k * dt) if descent else S * math.sqrt(dt) * rows.normal()
        x = x + step
    assert misfit(x, 0.4) < 1.95


# ------------------------------------------------------------------------------------------------------------ backward
def flow_step(model, x, t, dt):
    return x + S**2 * dt / 2 * score(model, x, t)


def two_flow_steps(model, x, t, dt):
    return flow_step(model, flow_step(model, x, t, dt), t - dt, dt)


def law_after(model, moved, t, dt):
    """The density on the grid of moved(x) + s sqrt(dt) e, x ~ p_t, by quadrature."""
    weights = density(model, GRID, t) * (GRID[1] - GRID[0])
    return normal(GRID[:, None], moved, S**2 * dt) @ weights


def apart(p, q):
    return float((p - q).abs().sum() * (GRID[1] - GRID[0]))


def orders(errors):
    """log2 of the factor by which an error falls when the step is halved."""
    return [math.log2(a / b) for a, b in pairwise(errors)]


def test_two_flow_steps_and_noise_are_one_reverse_step_to_second_order():
    """In law, by quadrature: against one another, and each against p_t-dt; and path by path under the same noise."""
    model, t = mixture(), 0.5
    between, paths, flows, reverses = [], [], [], []
    for dt in (0.04, 0.02, 0.01):
        by_flow = two_flow_steps(model, GRID, t, dt)
        by_reverse = GRID + S**2 * dt * score(model, GRID, t)
        laws = [law_after(model, moved, t, dt) for moved in (by_flow, by_reverse)]
        exact = density(model, GRID, t - dt)
        between.append(apart(*laws))
        flows.append(apart(laws[0], exact))
        reverses.append(apart(laws[1], exact))
        paths.append(float((by_flow - by_reverse).abs()[(GRID.abs() < 4)].max()))
    for errors in (between, paths, flows, reverses):
        assert orders(errors) == pytest.approx([2, 2], abs=0.25) and errors[-1] < 2e-3


@pytest.mark.parametrize("name", ["brownian", *SCHEDULES])
def test_a_reverse_step_is_a_flow_step_and_a_langevin_step(name):
    """Exactly, for any schedule: -h (f u - g^2 score) is -h v and (h g^2 / 2) score, v the flow's velocity."""
    schedule = Brownian() if name == "brownian" else schedule_named(name)
    model, here, there = mixture(schedule), Level.at(schedule, 0.6), Level.at(schedule, 0.57)
    rows, n = Rows(4, 50, dtype=torch.float64), 50
    u, z = 2 * here.sigma * rows.normal(1), rows.normal(1)
    rule = ReverseSDE().rule(lambda u, level: model.denoise(u, level.t), lambda: z, schedule)
    h, (_, g2) = here.t - there.t, coefficients(schedule, here)
    flow = -h * model._velocity(u, torch.full((n,), here.t, dtype=torch.float64))
    langevin = h * g2 / 2 * model.score_at(u, here.t) + math.sqrt(h * g2) * z
    torch.testing.assert_close(rule(u, here, there), u + flow + langevin, rtol=1e-10, atol=1e-10)
    if name == "brownian":
        assert g2 == pytest.approx(S**2)
        torch.testing.assert_close(u[:, 0] + flow[:, 0], flow_step(model, u[:, 0], here.t, h), rtol=1e-10, atol=1e-10)


# ------------------------------------------------------------------------------------------------------------ one step
def one_step(model, x, t, dt):
    """Points y and p(x_t-dt = y | x_t = x) as weights that sum to 1."""
    sd = S * math.sqrt(dt)
    y = torch.linspace(x - 14 * sd, x + 14 * sd, 20_001, dtype=torch.float64)
    weights = density(model, y, t - dt) * normal(y, x, S**2 * dt)
    return y, weights / weights.sum()


@pytest.mark.parametrize("x", [-2.0, 0.1, 1.0])
@pytest.mark.parametrize("dt", [0.2, 0.05, 0.01])
def test_one_step_back_has_the_mean_of_tweedie_at_any_size(x, dt):
    model, t = mixture(), 0.5
    point = torch.tensor([x], dtype=torch.float64)
    slope = torch.func.jvp(lambda p: score(model, p, t), (point,), (torch.ones_like(point),))[1]
    y, weights = one_step(model, x, t, dt)
    mean = float((weights * y).sum())
    assert mean == pytest.approx(x + S**2 * dt * float(score(model, point, t)), abs=1e-9)
    variance = float((weights * (y - mean).square()).sum())
    assert variance == pytest.approx(S**2 * dt * (1 + S**2 * dt * float(slope)), abs=1e-9)


@pytest.mark.parametrize("x", [-2.0, 0.1, 2.5])
def test_one_step_back_is_normal_to_second_order(x):
    """KL(p(x_t-dt | x_t) | N(x_t + s^2 dt score, s^2 dt)) falls fourfold when dt is halved (and eightfold where score'
    is 0, near x = 1, and skewness is all that is left)."""
    model, t, found = mixture(), 0.5, []
    point = torch.tensor([x], dtype=torch.float64)
    centre = float(score(model, point, t))
    slope = float(torch.func.jvp(lambda p: score(model, p, t), (point,), (torch.ones_like(point),))[1])
    for dt in (0.01, 0.005, 0.0025):
        y, weights = one_step(model, x, t, dt)
        guess = normal(y, x + S**2 * dt * centre, S**2 * dt) * (y[1] - y[0])
        found.append(float(torch.where(weights > 0, weights * (weights / guess).log(), 0.0).sum()))
    assert orders(found) == pytest.approx([2, 2], abs=0.1)
    assert found[-1] == pytest.approx((S**2 * 0.0025 * slope) ** 2 / 4, rel=0.05)
