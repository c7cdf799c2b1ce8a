"""A temperature scales the base's noise of a flow, and nothing else; at 1 the draws are the model's."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.models.classical.mixture import GMM
from fairway.models.flow.real_nvp import RealNVP
from fairway.samplers.temperature import Temperature


@pytest.fixture
def flow():
    return RealNVP(Event((3,)), transforms=2, hidden=(8,)).double().eval()


def test_at_one_the_draws_are_the_models(flow):
    assert torch.equal(flow.sample(9, sampler=Temperature(1.0), generator=3), flow.sample(9, generator=3))


def test_latents_of_draws_are_scaled_by_the_temperature(flow):
    warm, cool = flow.sample(9, generator=3), flow.sample(9, sampler=Temperature(0.5), generator=3)
    torch.testing.assert_close(flow.encode(cool), 0.5 * flow.encode(warm))
    assert flow.draw(9, sampler="temperature", generator=3).effective_temperature == 0.7


def test_what_has_no_temperature_says_so():
    with pytest.raises(CapabilityError, match="temperature"):
        GMM(Event((2,))).sample(3, sampler=Temperature(0.5))


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("inf"), True])
def test_a_temperature_is_a_positive_number(wrong):
    with pytest.raises(ValueError, match="temperature above 0"):
        Temperature(wrong)


def test_it_starts_nowhere(flow):
    with pytest.raises(ValueError, match="expected no init"):
        flow.sample(2, sampler=Temperature(0.5), init=torch.zeros(2, 3))
