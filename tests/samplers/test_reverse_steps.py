"""Steps back with the variances that a model says: exact for a Gaussian, however few."""

import math

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.models.diffusion.ddpm import DDPM
from fairway.models.diffusion.edm import EDM
from fairway.samplers.ddim import Ancestral
from fairway.samplers.reverse_steps import ReverseSteps

STD, STEPS = 0.5, 5


class Exact(torch.nn.Module):
    """F for data N(0, STD^2), and the variance of u_s given u_t one level of the sampler before."""

    def __init__(self):
        super().__init__()
        self.schedule = None

    def _moments(self, t):
        alpha, sigma = self.schedule(t)
        return alpha, sigma, alpha.square() * STD**2 + sigma.square()

    def forward(self, u, t, context=None):
        s = (t - 0.999 / (STEPS - 1)).clamp(min=1e-3)
        (alpha, sigma, total), (later, rest, left) = self._moments(t), self._moments(s)
        answer = (alpha * sigma * (STD**2 - 1) / total).unsqueeze(1) * u
        shared = alpha * later * STD**2 + alpha / later * rest.square()
        variance = left - shared.square() / total
        smaller = rest.square() * (1 - (alpha * rest / (later * sigma)).square())
        share = (variance / smaller).log() / (2 * (sigma / rest).log())
        between = torch.where(s < t, 2 * share - 1, torch.zeros_like(share))
        return torch.cat([answer, between.unsqueeze(1).expand_as(u)], 1)


@pytest.fixture
def model():
    network = Exact()
    model = DDPM(Event((2,)), levels=100, learned_variance=True, betas="cosine", network=network)
    network.schedule = model.schedule
    return model.double().eval()


def test_few_steps_with_the_right_variances_draw_the_right_law(model):
    """With those of q(u_s | u_t, u_0) five steps draw too narrow a law."""
    draws = model.sample(20_000, sampler=ReverseSteps(STEPS, "time"), generator=0)
    torch.testing.assert_close(draws.std(0), torch.full((2,), STD).double(), rtol=4 / math.sqrt(40_000), atol=0)
    assert float(draws.mean(0).abs().max()) < 4 * STD / math.sqrt(20_000)
    narrow = model.sample(20_000, sampler=Ancestral(STEPS, "time"), generator=0)
    assert float(narrow.std(0).max()) < 0.95 * STD


def test_nothing_lacking_is_ancestral(model, monkeypatch):
    own = model._reverse_terms
    monkeypatch.setattr(model, "_reverse_terms", lambda *given: (*own(*given)[:2], torch.zeros(1).double()))
    one, other = (model.draw(30, sampler=kind(7, "time"), generator=3) for kind in (ReverseSteps, Ancestral))
    torch.testing.assert_close(one.samples, other.samples)
    assert one.evaluations == other.evaluations == 7


def test_the_models_own_levels_are_the_default(model):
    levels = ReverseSteps()._levels(model)
    assert [level.t for level in levels] == pytest.approx([i / 100 for i in range(100, 0, -1)])
    assert model.draw(2, generator=0).evaluations == 100


def test_a_path_can_be_traced(model):
    draws = model.draw(4, sampler=ReverseSteps(6), generator=0, trace=True)
    assert draws.trace.shape == (7, 4, 2)
    torch.testing.assert_close(draws.trace[-1], draws.samples)


def test_wrong_options_and_models_are_refused():
    for wrong in ({"steps": 0}, {"grid": "line"}):
        with pytest.raises(ValueError, match="expected"):
            ReverseSteps(**wrong)
    with pytest.raises(CapabilityError, match="variances of its own"):
        EDM(Event((2,)), hidden=(8,)).sample(2, sampler="reverse_steps", generator=0)
