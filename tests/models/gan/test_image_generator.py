"""Which network for which event, and the units each learns in."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.preprocessing import Chain, Standardise, Symmetric
from fairway.models.gan.image_generator import widths
from fairway.models.gan.r3gan import R3GAN
from fairway.networks.critic import MLPCritic
from fairway.networks.dcgan import ConvCritic, ConvGenerator, halvings


@pytest.mark.parametrize(
    ("event", "squash"),
    [
        (Event((28, 28), "integer", low=0, high=255), True),
        (Event((3, 32, 32), "bounded", low=-1.0, high=3.0), True),
        (Event((8, 8), "real"), False),
        (Event((8, 8), "positive"), False),
    ],
)
def test_images_are_made_by_convolutions(event, squash):
    model = R3GAN(event, latent=4, hidden=tuple(8 for _ in widths(event)))
    assert isinstance(model.network, ConvGenerator) and model.network.squash == squash
    assert isinstance(model.default_critic(None, 0), ConvCritic)
    assert model.sample(3, generator=0).shape == (3, *event.shape)


@pytest.mark.parametrize("event", [Event((5,)), Event((3, 3)), Event((9, 8), "binary")])
def test_all_else_by_perceptrons(event):
    model = R3GAN(event, hidden=(8,))
    assert not model.convolves and isinstance(model.default_critic(None, 2), MLPCritic)
    assert model.latent == min(event.dims, 64)


def test_units_of_images_and_of_tables():
    grey = R3GAN(Event((8, 8), "integer", low=0, high=16), hidden=(8,)).preprocess
    assert isinstance(grey, Chain) and isinstance(grey.maps[-1], Symmetric)
    x = torch.tensor([0, 16]).reshape(2, 1, 1).expand(2, 8, 8)
    assert grey.to_model(x)[0].abs().max() < 1
    assert torch.equal(grey.to_data(grey.to_model(x)[0]), x.double())
    units = R3GAN(Event((3,)), hidden=(8,)).preprocess
    assert isinstance(units, Standardise) and units.scale == 3
    assert R3GAN(Event((3,), "positive"), hidden=(8,)).preprocess.maps[-1].scale == 3


def test_halvings_stop_at_four_pixels():
    assert [halvings(Event((side, side))) for side in (4, 7, 8, 12, 28, 30, 32, 64)] == [0, 0, 1, 1, 2, 1, 3, 4]
