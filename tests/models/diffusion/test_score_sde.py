"""Three equations, one network: what its answer means, and what it learns under each."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.numerics import expand_as_rows
from fairway.core.random import Rows
from fairway.models.diffusion.score_sde import SDES, ScoreSDE
from fairway.samplers.reverse_sde import PredictorCorrector, ReverseSDE
from fairway.training.fit import fit


class Waves(torch.nn.Module):
    def forward(self, u, t, context=None):
        return torch.sin(3 * u.flip(1) + expand_as_rows(t, u))


def model_of(schedule):
    return ScoreSDE(Event((2,)), schedule=schedule, network=Waves()).double()


@pytest.mark.parametrize("schedule", SDES)
def test_the_flow_turns_by_minus_the_network(schedule):
    """Why a network with any weights has a density that can be integrated."""
    model, w = model_of(schedule), Rows(0, 30, dtype=torch.float64).normal(2)
    for a in (0.05, 0.4, 1.2, 1.5):
        angle = torch.tensor(a, dtype=torch.float64)
        t = model.schedule.at_log_snr(-2 * angle.tan().log()).expand(30)
        torch.testing.assert_close(model._turn(w, angle, None), -Waves()(w, t), atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("schedule", SDES)
def test_the_flow_is_the_paper_s(schedule):
    """Song et al. 2021, eq. 13: du/dt = f u - g^2 score / 2, with f and g^2 by differences of alpha and sigma."""
    model, rows = model_of(schedule), Rows(1, 30, dtype=torch.float64)
    u, t, step = rows.normal(2), 0.05 + 0.9 * rows.uniform(), 1e-6
    ahead, behind = model.schedule(t + step), model.schedule(t - step)
    f = (ahead[0].log() - behind[0].log()) / (2 * step)
    alpha = model.schedule(t)[0]
    ratio = [(sigma / a).square() for a, sigma in (ahead, behind)]
    g2 = alpha.square() * (ratio[0] - ratio[1]) / (2 * step)  # d(sigma^2)/dt - 2 f sigma^2
    wanted = f[:, None] * u - g2[:, None] * model._score_at(u, t) / 2
    torch.testing.assert_close(model._velocity(u, t), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("schedule", SDES)
def test_an_error_of_the_network_in_units_of_the_noise(schedule):
    """|error of eps| = alpha / sqrt(S) |error of y|, which is at most 1, and sigma times that of the score."""
    model, rows = model_of(schedule), Rows(2, 30, dtype=torch.float64)
    u, t = rows.normal(2), 0.01 + 0.98 * rows.uniform()
    (_, before), score = model._data_and_noise(u, t, None), model._score_at(u, t)
    model.network.forward = lambda w, t, c: Waves()(w, t) + 0.1
    alpha, sigma = model.schedule(t)
    off = (model._data_and_noise(u, t, None)[1] - before).abs()
    torch.testing.assert_close(off, (0.1 * alpha / torch.hypot(alpha, sigma))[:, None].expand(30, 2))
    torch.testing.assert_close(off, sigma[:, None] * (model._score_at(u, t) - score).abs())


def test_each_equation_is_followed_as_the_paper_does():
    kinds = [type(model_of(schedule).default_sampler()) for schedule in SDES]
    assert kinds == [ReverseSDE, ReverseSDE, PredictorCorrector]


def test_another_schedule_is_refused():
    with pytest.raises(ValueError, match="sub_vp"):
        ScoreSDE(Event((2,)), schedule="cosine")


@pytest.mark.parametrize("schedule", SDES)
def test_it_learns_two_humps_in_data_units(schedule):
    side = (Rows(11, 600).uniform() < 0.7).float() * 2 - 1
    x = torch.stack([1000 + 40 * (side + 0.3 * Rows(12, 600).normal()), -7e-3 + 3e-3 * Rows(13, 600).normal()], 1)
    model = fit("score_sde", x, schedule=schedule, hidden=(48, 48), steps=400, seed=0, lr=3e-3)
    draws = model.sample(1000, generator=0)
    right = (x[:, 0] > 1000).float().mean()  # the law says 0.7, the 600 rows 0.73
    assert float((draws[:, 0] > 1000).float().mean()) == pytest.approx(float(right), abs=0.08)
    torch.testing.assert_close(draws.std(0) / x.std(0), torch.ones(2), atol=0.2, rtol=0)
    near, between = model.log_prob(torch.tensor([[1040.0, -7e-3], [1000.0, -7e-3]])).tolist()
    assert near - between > 1 and math.isfinite(near)


@pytest.mark.parametrize(("dims", "method"), [(16, "numerical"), (17, "estimate")])
def test_a_density_whose_trace_is_probed_is_an_estimate(dims, method):
    assert ScoreSDE(Event((dims,)), hidden=(8,)).likelihood == method
