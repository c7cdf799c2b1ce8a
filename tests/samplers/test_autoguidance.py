"""A model guided by itself is itself; by a weaker one it goes beyond; strangers are refused."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.classical.gaussian import Gaussian
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.samplers.autoguidance import AutoGuided
from fairway.samplers.ddim import Ancestral
from fairway.samplers.dpm_solver import DPMSolver
from fairway.samplers.ode import ProbabilityFlow


def gaussian(variance, schedule="cosine"):
    mean, covariance = torch.zeros(1, 2, dtype=torch.float64), variance * torch.eye(2, dtype=torch.float64)
    return MixtureDenoiser(torch.ones(1).double(), mean, covariance.unsqueeze(0), schedule=schedule).double()


@pytest.mark.parametrize("sampler", [DPMSolver(8), Ancestral(8), ProbabilityFlow(8)])
def test_guided_by_itself_a_model_is_itself(three_classes, sampler):
    model = three_classes("cosine")
    own = model.draw(20, context=1, sampler=sampler, generator=0)
    guided = model.draw(20, context=1, sampler=AutoGuided(model, 3.0, sampler), generator=0)
    assert torch.equal(own.samples, guided.samples)
    assert guided.evaluations == 2 * own.evaluations


def test_answers_go_on_away_from_the_weaker_model():
    model, weaker = gaussian(0.5), gaussian(0.8)
    u, t = Rows(0, 10, dtype=torch.float64).normal(2), torch.linspace(0.05, 0.95, 10).double()
    view = AutoGuided(weaker, 2.0).view(model)
    for hook in ("_denoise", "_velocity", "_score_at"):
        own, weak = getattr(model, hook)(u, t), getattr(weaker, hook)(u, t)
        torch.testing.assert_close(getattr(view, hook)(u, t), weak + 2 * (own - weak))


def test_what_both_models_blur_is_sharpened():
    """Data of variance 0.2; the models say 0.3 and 0.5: guided draws are nearer to the data's variance."""
    model, weaker, sampler = gaussian(0.3, "edm"), gaussian(0.5, "edm"), DPMSolver(60)
    guided = {s: AutoGuided(weaker, s, sampler) for s in (1.0, 1.5, 2.0)}
    variance = {s: model.sample(4_000, sampler=by, generator=0).var() for s, by in guided.items()}
    assert 0.29 < variance[1.0] < 0.31
    assert abs(variance[1.5] - 0.2) < abs(variance[1.0] - 0.2)
    assert variance[2.0] < variance[1.5] < variance[1.0]


def test_outside_the_interval_the_model_draws_by_itself():
    model, weaker = gaussian(0.3, "edm"), gaussian(0.5, "edm")
    own = model.sample(9, generator=0)
    assert torch.equal(own, model.sample(9, sampler=AutoGuided(weaker, interval=(90.0, 95.0)), generator=0))
    assert not torch.equal(own, model.sample(9, sampler=AutoGuided(weaker, interval=(0.0, 5.0)), generator=0))


def test_strangers_are_refused():
    model = gaussian(0.3)
    with pytest.raises(CapabilityError, match="weaker model"):
        model.sample(2, sampler=AutoGuided(Gaussian(Event((2,)))))
    other = MixtureDenoiser(torch.ones(1), torch.zeros(1, 3), torch.eye(3).unsqueeze(0), schedule="cosine")
    with pytest.raises(ValueError, match="weaker model with event"):
        model.sample(2, sampler=AutoGuided(other))
    with pytest.raises(ValueError, match="schedule"):
        model.sample(2, sampler=AutoGuided(gaussian(0.3, "vp")))
    scaled = gaussian(0.3)
    scaled.preprocess.std.fill_(2.0)
    with pytest.raises(ValueError, match="units"):
        model.sample(2, sampler=AutoGuided(scaled))
