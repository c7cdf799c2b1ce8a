"""Guidance asks the model at a scale, and says what it cost."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.flow.tarflow import TarFlow
from fairway.samplers.guidance import Guided


@pytest.fixture(scope="module")
def model():
    with seeded(0):
        flow = TarFlow(Event((3,)), Event((2,)), transforms=2, width=8, layers=1, heads=2).double().eval()
        for parameter in flow.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return flow


def test_beyond_one_every_token_is_asked_twice(model):
    context = torch.ones(2)
    cost = {s: model.draw(2, context=context, sampler=Guided(s), generator=0).evaluations for s in (0.0, 1.0, 1.5)}
    assert cost == {0.0: 3, 1.0: 3, 1.5: 6}


def test_at_zero_the_context_does_not_matter(model):
    here, there = (
        model.sample(4, context=c, sampler=Guided(0.0), generator=0) for c in (torch.ones(2), -torch.ones(2))
    )
    assert torch.equal(here, there)
    guided = [model.sample(4, context=torch.ones(2), sampler="guided", generator=0) for _ in range(2)]
    assert torch.equal(*guided)


def test_what_has_no_guidance_and_what_starts_somewhere_is_refused(model):
    with pytest.raises(CapabilityError, match="guidance"):
        RealNVP(Event((3,)), transforms=1, hidden=(4,)).sample(2, sampler=Guided())
    with pytest.raises(ValueError, match="expected no init"):
        model.sample(1, context=torch.ones(2), sampler=Guided(), init=torch.zeros(1, 3))


@pytest.mark.parametrize("wrong", [-0.1, float("inf"), True])
def test_a_scale_is_a_number_of_at_least_zero(wrong):
    with pytest.raises(ValueError, match="guidance scale"):
        Guided(wrong)
