"""One solve, every form: against the closed form for Gaussian data under every prediction type.

Data N(m, s^2) on any schedule: u_t ~ N(alpha m, S) with S = alpha^2 s^2 + sigma^2, so that
E[u_0 | u_t] = m + alpha s^2 (u_t - alpha m) / S, E[eps | u_t] = sigma (u_t - alpha m) / S, score -(u_t - alpha m) / S.
"""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.diffusion.denoiser import Denoiser, solve
from fairway.models.diffusion.schedule import SCHEDULES, schedule_named

MEAN, STD = 0.7, 0.4


class Exact(Denoiser):
    """The denoiser of Gaussian data, whatever it is asked to predict."""

    def __init__(self, event: Event, *, schedule: str = "linear", prediction: str = "velocity") -> None:
        super().__init__(event)
        self.schedule, self.prediction = schedule_named(schedule), prediction

    def _prediction(self, t):
        one, zero = torch.ones_like(t), torch.zeros_like(t)
        alpha, sigma = self.schedule(t)
        return {
            "data": (one, zero),
            "noise": (zero, one),
            "velocity": self.schedule.derivatives(t),
            "v": (-sigma, alpha),
        }[self.prediction]

    def _expected(self, u, t):
        alpha, sigma = (c.unsqueeze(1) for c in self.schedule(t))
        rest = (u - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2)
        return MEAN + alpha * STD**2 * rest, sigma * rest, -rest

    def _network(self, u, t, context):
        data, noise, _ = self._expected(u, t)
        p, q = (c.unsqueeze(1) for c in self._prediction(t))
        return p * data + q * noise


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("prediction", ["data", "noise", "velocity", "v"])
def test_every_form_of_every_prediction(schedule, prediction):
    model = Exact(Event((3,)), schedule=schedule, prediction=prediction).double()
    rows = Rows(0, 50, dtype=torch.float64)
    u, t = rows.normal(3), rows.uniform() * 0.98 + 0.01
    data, noise, score = model._expected(u, t)
    torch.testing.assert_close(model._denoise(u, t), data)
    torch.testing.assert_close(model._score_at(u, t), score)
    alpha, sigma = (c.unsqueeze(1) for c in model.schedule.derivatives(t))
    torch.testing.assert_close(model._velocity(u, t), alpha * data + sigma * noise)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_density_of_a_gaussian_by_its_ode(schedule):
    model = Exact(Event((3,)), schedule=schedule).double()
    x = Rows(1, 40, dtype=torch.float64).normal(3) * 1.5
    torch.testing.assert_close(model.log_prob(x), drawn_law(model.schedule).log_prob(x).sum(1), atol=1e-4, rtol=0)


def drawn_law(schedule):
    """What the exact flow makes of the prior N(0, alpha^2 + sigma^2): with N(m, s^2) at every level between, a line."""
    (alpha, sigma), ends = schedule(torch.tensor([0.0, 1.0], dtype=torch.float64)), []
    for a, s in zip(alpha.tolist(), sigma.tolist(), strict=True):
        ends.append((a * MEAN, (a**2 * STD**2 + s**2) ** 0.5, (a**2 + s**2) ** 0.5))
    (mean, std, _), (late_mean, late_std, prior) = ends
    return torch.distributions.Normal(mean - std / late_std * late_mean, std / late_std * prior)


def test_public_forms_take_a_scalar_level():
    model = Exact(Event((3,))).double()
    u = Rows(0, 5, dtype=torch.float64).normal(3)
    torch.testing.assert_close(model.denoise(u, 0.5), model._expected(u, torch.full((5,), 0.5).double())[0])
    torch.testing.assert_close(model.score_at(u, 0.5), model._expected(u, torch.full((5,), 0.5).double())[2])


def test_solve_inverts_its_two_equations():
    rows = Rows(3, 10, dtype=torch.float64)
    data, noise, level, prediction = rows.normal(2), rows.normal(2), rows.uniform(2), rows.normal(2)
    (alpha, sigma), (p, q) = level.unbind(1), prediction.unbind(1)
    u, y = (a[:, None] * data + b[:, None] * noise for a, b in ((alpha, sigma), (p, q)))
    torch.testing.assert_close(solve(u, y, (alpha, sigma), (p, q)), (data, noise))
