"""Where bfloat16 is used while drawing, and what it must not touch."""

import pytest
import torch
from torch import nn

from fairway.core import low_precision
from fairway.core.event import Event
from fairway.core.low_precision import autocast, drawing, fast_bfloat16, gains
from fairway.core.random import seeded
from fairway.models.diffusion.edm import EDM
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.models.flow.glow import Glow
from fairway.networks.spectral_layers import SpectralConv, SpectralLinear

IMAGES = Event((8, 8))


def model_of(model_class=EDM, **options):
    with seeded(0):
        model = model_class(IMAGES, hidden=(8, 8), **options)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(low_precision, "fast_bfloat16", lambda device: True)


def multiplied_in(model):
    """The precision of what a convolution of the model returns while it draws."""
    seen = []
    handle = model.network.first.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    drawn = model.sample(3, sampler="ddim", generator=0)
    handle.remove()
    assert drawn.dtype == model.dtype
    return seen[0]


def test_hardware_says_whether_it_multiplies_bfloat16(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert not fast_bfloat16("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "amx_bf16": True})
    assert fast_bfloat16("cpu")


@pytest.mark.parametrize("model_class", [EDM, FlowMatching])
def test_convolutions_are_drawn_from_in_bfloat16_where_it_is_fast(fast, model_class):
    model = model_of(model_class)
    assert gains(model)
    assert multiplied_in(model) == torch.bfloat16
    assert multiplied_in(model.double()) == torch.float64


def test_nothing_changes_elsewhere(monkeypatch):
    monkeypatch.setattr(low_precision, "fast_bfloat16", lambda device: False)
    assert multiplied_in(model_of()) == torch.float32


def test_draws_are_nearly_those_of_float32(fast, monkeypatch):
    model = model_of()
    rough = model.sample(20, generator=0)
    monkeypatch.setattr(low_precision, "fast_bfloat16", lambda device: False)
    exact = model.sample(20, generator=0)
    assert not torch.equal(rough, exact)
    assert float((rough - exact).norm() / exact.norm()) < 0.03


def test_densities_latents_and_flows_stay_whole(fast):
    model, seen = model_of(), []
    model.network.first.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    model.encode(model.sample(2, generator=0))
    model.denoise(torch.zeros(2, 8, 8), 0.5)
    assert seen[-1] == torch.float32
    with drawing(Glow(IMAGES)):
        assert not torch.is_autocast_enabled("cpu")


def test_a_user_who_has_chosen_is_left_alone(fast):
    with autocast("cpu", torch.float16), drawing(model_of()):
        assert torch.get_autocast_dtype("cpu") == torch.float16


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        (SpectralConv(2, 3), True),
        (SpectralLinear(2, 3), False),
        (nn.Conv1d(1, 1, 3), True),
    ],
)
def test_convolutions_of_ones_own_gain_too(layer, wanted):
    assert gains(nn.Sequential(nn.Linear(2, 2), layer)) is wanted


def test_a_spectral_norm_keeps_its_digits():
    with seeded(0):
        layer = SpectralConv(3, 4).eval()
    with autocast("cpu", torch.bfloat16):
        scaled, out = layer.scaled(), layer(torch.randn(2, 3, 5, 5))
    assert out.dtype == torch.bfloat16
    assert torch.equal(scaled, layer.scaled())
    torch.testing.assert_close(torch.linalg.matrix_norm(scaled.flatten(1), 2), torch.tensor(1.0), rtol=1e-3, atol=0)
