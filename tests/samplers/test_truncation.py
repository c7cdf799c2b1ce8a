"""Truncated latents against scipy's truncated normal, and that without a threshold nothing changes."""

import math

import pytest
import torch
from scipy import stats

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.gan.generator import Generator
from fairway.samplers.truncation import Truncated, truncated, variance


@pytest.fixture
def model():
    """Draws that are their latents."""
    with seeded(0):
        model = Generator(Event((3,)), latent=3, hidden=()).eval()
    with torch.no_grad():
        model.network.last.weight.copy_(torch.eye(3))
        model.network.last.bias.zero_()
    return model


@pytest.mark.parametrize("threshold", [0.04, 0.5, 1.0, 2.0, 5.0])
def test_the_variance_is_that_of_a_truncated_normal(threshold):
    assert variance(threshold) == pytest.approx(stats.truncnorm(-threshold, threshold).var(), rel=1e-6)


def test_the_variance_at_both_ends():
    assert variance(math.inf) == 1 and variance(40.0) == pytest.approx(1)
    assert variance(1e-2) == pytest.approx(1e-4 / 3, rel=1e-3)


@pytest.mark.parametrize("threshold", [0.04, 0.5, 2.0])
def test_draws_are_a_truncated_normal(model, threshold):
    draws = model.draw(20_000, sampler=Truncated(threshold), generator=0)
    z = draws.samples.flatten().double()
    assert float(z.abs().max()) <= threshold + 1e-7 and float(z.abs().max()) > 0.99 * threshold
    assert draws.info == {"threshold": threshold, "latent_variance": variance(threshold)}
    assert float(z.var()) == pytest.approx(variance(threshold), rel=0.03)
    assert stats.kstest(z.numpy(), stats.truncnorm(-threshold, threshold).cdf).pvalue > 1e-3


def test_without_a_threshold_they_are_the_models_own(model):
    assert torch.equal(model.sample(50, sampler=Truncated(math.inf), generator=3), model.sample(50, generator=3))


def test_entries_within_are_kept_and_others_drawn_again(model):
    z, uniforms = Rows(0, 500).normal(3), Rows(1, 500).uniform(3)
    cut, inside = truncated(z, uniforms, 1.0), z.abs() <= 1
    assert torch.equal(cut[inside], z[inside]) and 0.2 < float((~inside).double().mean()) < 0.4
    assert torch.equal(truncated(z, 0 * uniforms, 1.0)[~inside].unique(), torch.tensor([-1.0]))
    assert abs(float(torch.corrcoef(torch.stack([cut[~inside], z[~inside]]))[0, 1])) < 0.15


def test_rows_are_seeded_as_any_draw(model):
    sampler = Truncated(0.7)
    draws = model.sample(70, sampler=sampler, generator=0)
    assert torch.equal(model.sample(70, sampler=sampler, generator=0, batch_size=33), draws)
    assert torch.equal(model.sample(9, sampler=sampler, generator=0), draws[:9])
    assert not torch.equal(model.sample(70, sampler=sampler, generator=1), draws)


def test_any_decoder_will_do_by_name():
    with seeded(0):
        flow = RealNVP(Event((2,)), transforms=2, hidden=(8,)).eval()
    near = flow.draw(200, sampler=Truncated(0.3), generator=0)
    assert float(flow.encode(near.samples).abs().max()) <= 0.3 + 1e-4
    assert flow.draw(4, sampler="truncated", generator=0).info["threshold"] == 1.0


def test_what_cannot_be_truncated_is_refused():
    for wrong in (0, -1.0, math.nan, True):
        with pytest.raises(ValueError, match="expected a threshold above 0"):
            Truncated(wrong)
    with seeded(0):
        model = Generator(Event((2,)), latent=2, hidden=(4,))

    class Codes(Generator):
        latent_event = Event((2,), "category", levels=4)

    model.__class__ = Codes
    with pytest.raises(CapabilityError, match=r"draws normal latents, those of .* are Event"):
        model.sample(3, sampler=Truncated())
    from fairway.models.classical.mixture import GMM

    with pytest.raises(CapabilityError, match="decode"):
        GMM(Event((2,)), components=2).sample(3, sampler=Truncated())
