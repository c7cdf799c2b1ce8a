"""ActNorm starts from data, channel by channel, survives a constant one, and is an affine map ever after."""

import math

import pytest
import torch

from fairway.models.flow.transforms.actnorm import ActNorm, start_from
from fairway.models.flow.transforms.transform import Chain
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw


def rows(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moments(z):
    values = z.transpose(0, 1).flatten(1)
    return values.mean(1), values.std(1, correction=0)


@pytest.mark.parametrize("shape", [(3,), (3, 2, 4)])
def test_the_start_standardises_every_channel(shape):
    u = rows(50, *shape) * torch.tensor([3.0, 0.1, 8.0]).reshape(3, *[1] * (len(shape) - 1)) + 5
    layer = ActNorm(3).double()
    assert torch.equal(layer.to_latent(u)[0], u) and not bool(layer.started)
    layer.start(u)
    mean, std = moments(layer.to_latent(u)[0].detach())
    torch.testing.assert_close(mean, torch.zeros(3).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(std, torch.ones(3).double())
    assert bool(layer.started)


@pytest.mark.parametrize("value", [0.0, 1e6, -7e-9])
@pytest.mark.parametrize("shape", [(3,), (3, 2, 2)])
def test_a_constant_channel_is_centred_and_keeps_its_scale(value, shape):
    u = rows(20, *shape)
    u[:, 1] = value
    layer = ActNorm(3).double()
    layer.start(u)
    z, ladj = layer.to_latent(u)
    torch.testing.assert_close(z[:, 1], torch.zeros_like(z[:, 1]), atol=1e-9, rtol=0)
    torch.testing.assert_close(layer.to_latent(u + 1)[0][:, 1] - z[:, 1], torch.ones_like(z[:, 1]))
    assert ladj.isfinite().all()
    torch.testing.assert_close(layer.to_data(z)[0], u)


def test_scales_stay_within_their_bound():
    layer = ActNorm(2).double()
    layer.start(rows(20, 2) * torch.tensor([1e-3, 1e6]))
    _, ladj = layer.to_latent(rows(2, 2))
    assert ladj.isfinite().all()
    assert math.exp(-3) < float((layer.to_latent(torch.ones(1, 2).double())[0]).detach().diff().abs()) < math.inf


@pytest.mark.parametrize("shape", [(3,), (3, 2, 4)])
def test_exact_both_ways(shape):
    layer, u = ActNorm(3).double(), rows(4, *shape)
    redraw(layer)
    layer.requires_grad_(False)
    z, ladj = layer.to_latent(u)
    back, ladj_back = layer.to_data(z)
    torch.testing.assert_close(back, u, atol=1e-9, rtol=0)
    torch.testing.assert_close(ladj_back, -ladj)
    torch.testing.assert_close(ladj, log_abs_det(lambda v: layer.to_latent(v)[0], u), atol=1e-8, rtol=0)


def test_every_layer_of_a_chain_starts_from_what_reaches_it_and_only_once():
    chain, u = Chain([ActNorm(3), ActNorm(3)]).double(), 7 * rows(40, 3) - 2
    before = torch.get_rng_state()
    start_from(chain, u)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(moments(chain.to_latent(u)[0].detach())[1], torch.ones(3).double())
    second = chain.links[1].to_latent(u)[0].detach()
    torch.testing.assert_close(second, u, atol=1e-9, rtol=0)
    kept = {name: value.clone() for name, value in chain.state_dict().items()}
    start_from(chain, 100 * u)
    assert all(torch.equal(value, kept[name]) for name, value in chain.state_dict().items())
    assert not any(layer.watching for layer in chain.links)


def test_a_loaded_layer_has_started():
    layer, fresh = ActNorm(2), ActNorm(2)
    layer.start(rows(10, 2))
    fresh.load_state_dict(layer.state_dict())
    assert bool(fresh.started)


def test_a_batch_does_not_matter_in_training():
    layer, u = ActNorm(2).double().train(), rows(6, 2)
    layer.start(rows(20, 2, seed=1))
    torch.testing.assert_close(layer.to_latent(u)[0][:1], layer.to_latent(u[:1])[0])


def test_wrong_channels_are_named():
    with pytest.raises(ValueError, match="expected 3 channels"):
        ActNorm(3).to_latent(torch.zeros(2, 4, 5, 5))
