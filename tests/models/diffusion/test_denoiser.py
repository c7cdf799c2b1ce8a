"""One solve, every form: against the closed form for Gaussian data under every prediction type.

Data N(m, s^2) on any schedule: u_t ~ N(alpha m, S) with S = alpha^2 s^2 + sigma^2, so that
E[u_0 | u_t] = m + alpha s^2 (u_t - alpha m) / S, E[eps | u_t] = sigma (u_t - alpha m) / S, score -(u_t - alpha m) / S.
"""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.random import Rows
from fairway.models.diffusion.denoiser import Denoiser, solve
from fairway.models.diffusion.forward import noised
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.schedule import SCHEDULES, schedule_named
from fairway.samplers.ddim import DDIM
from fairway.samplers.heun import Heun
from fairway.samplers.ode import ProbabilityFlow

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


@pytest.mark.parametrize(
    ("t", "says"),
    [
        (1, "as a float, got torch.int64"),
        (torch.zeros(5, dtype=torch.long), "as a float, got torch.int64"),
        (1.001, r"in \[0, 1\].*got 1.001"),
        (-0.1, r"in \[0, 1\].*got -0.1"),
        (math.nan, r"in \[0, 1\].*got nan"),
        (torch.tensor([0.1, 0.2, math.nan, 0.4, 0.5]), r"in \[0, 1\].*got nan"),
        (torch.full((4,), 0.5), r"shape \(5,\); got \(4,\)"),
        (torch.full((1,), 0.5), r"shape \(5,\); got \(1,\)"),
        (torch.full((5, 1), 0.5), r"shape \(5,\); got \(5, 1\)"),
    ],
)
def test_a_wrong_level_is_refused_wherever_a_user_gives_one(t, says):
    model = Exact(Event((3,))).double()
    u = Rows(0, 5, dtype=torch.float64).normal(3)
    for ask in (model.denoise, model.score_at, lambda u, t: noised(model, u, t, generator=0)):
        with pytest.raises(ValueError, match=f"expected .*{says}"):
            ask(u, t)


def test_samplers_and_densities_never_check_a_level(monkeypatch):
    """The hooks are asked thousands of times; a look at values would stop the device each time."""
    model = Exact(Event((3,))).double()
    monkeypatch.setattr(Model, "_level", lambda self, t, u: pytest.fail("a hook checked its level"))
    monkeypatch.setattr("fairway.core.model.noise_level", lambda t, u: pytest.fail("a hook checked its level"))
    for sampler in (DDIM(4), Heun(4), ProbabilityFlow(4)):
        assert model.sample(5, sampler=sampler, generator=0).isfinite().all()
    assert model.log_prob(torch.zeros(2, 3)).isfinite().all()


def test_public_forms_compile_whole():
    model = Exact(Event((3,))).double()
    u, t = Rows(0, 5, dtype=torch.float64).normal(3), torch.full((5,), 0.5, dtype=torch.float64)
    compiled = torch.compile(lambda u, t: model.denoise(u, t) + model.score_at(u, t), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(u, t), model.denoise(u, t) + model.score_at(u, t))


def test_a_context_where_there_is_none_and_none_where_there_is_one():
    class Given(Exact):
        accepts_context = ("real",)

        def __init__(self, event, context_event):
            Denoiser.__init__(self, event, context_event)
            self.schedule, self.prediction = schedule_named("linear"), "data"

    free, given = Exact(Event((3,))).double(), Given(Event((3,)), Event((1,))).double()
    u, c = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 1)
    for ask in (lambda m, c: m.denoise(u, 0.5, c), lambda m, c: m.score_at(u, 0.5, c), lambda m, c: m.log_prob(u, c)):
        with pytest.raises(ValueError, match=r"expected no context .*got one; leave it out"):
            ask(free, c)
        with pytest.raises(ValueError, match=r"expected context=.* is conditional; got none: pass context="):
            ask(given, None)
    for sampler in (None, "ddim", "ancestral", "heun", "reverse_sde"):
        with pytest.raises(ValueError, match=r"expected no context .*got one; leave it out"):
            free.sample(2, context=c, sampler=sampler)
        with pytest.raises(ValueError, match=r"expected context=.* is conditional; got none: pass context="):
            given.sample(2, sampler=sampler)


def test_an_estimate_by_probes_has_the_density_as_its_mean():
    """20 entries, whose trace is seen through probes: fixed for `log_prob`, each row's own for an estimate."""
    one, dims = torch.ones(1, dtype=torch.float64), 20
    root = torch.eye(dims, dtype=torch.float64) * 0.5 + 0.2
    model = MixtureDenoiser(one, one.new_zeros(1, dims), (root @ root.mT / 2)[None]).double()
    model.density_steps = 20
    x = (Rows(1, 1, dtype=torch.float64).normal(dims) @ root / 2**0.5).expand(400, dims)
    with torch.no_grad():
        drawn = model._log_prob_estimate(x, None, Rows(2, 400, dtype=torch.float64))
        few = model._log_prob_estimate(x[:7], None, Rows(2, 7, dtype=torch.float64))
        fixed = model._log_prob(x)
    exact, error = float(model.log_prob_at(x[:1], x.new_zeros(1))), float(drawn.std()) / 20
    assert 20 * error > 0.1 and float(drawn.mean()) == pytest.approx(exact, abs=4 * error + 1e-3)
    torch.testing.assert_close(drawn[:7], few)
    assert float(fixed.std()) < 1e-9


def test_solve_inverts_its_two_equations():
    rows = Rows(3, 10, dtype=torch.float64)
    data, noise, level, prediction = rows.normal(2), rows.normal(2), rows.uniform(2), rows.normal(2)
    (alpha, sigma), (p, q) = level.unbind(1), prediction.unbind(1)
    u, y = (a[:, None] * data + b[:, None] * noise for a, b in ((alpha, sigma), (p, q)))
    torch.testing.assert_close(solve(u, y, (alpha, sigma), (p, q)), (data, noise))
