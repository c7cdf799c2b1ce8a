"""Factoring out keeps every entry, adds log-determinants, and comes back; a coupling is the conditional prior."""

import pytest
import torch

from fairway.core.numerics import normal_log_prob, standard_normal_log_prob
from fairway.core.random import seeded
from fairway.models.flow.transforms.image_coupling import ImageCoupling
from fairway.models.flow.transforms.multi_scale import MultiScale
from fairway.models.flow.transforms.squeeze import Rows, Squeeze
from fairway.models.flow.transforms.transform import Chain
from fairway.models.flow.transforms.univariate import affine, log_scale
from fairway.networks.conv import ConvNet
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw


def coupling(channels):
    kept, moved = ImageCoupling.sizes(channels)
    return ImageCoupling(channels, affine, ConvNet(kept, 2 * moved, (6,)))


def two_levels(move=True):
    """(1, 4, 4) -> 4 x 2 x 2, half done -> 8 x 1 x 1."""

    def steps(channels):
        return [Squeeze(), coupling(channels)] if move else [Squeeze()]

    with seeded(0):
        rest = Chain([*steps(8), Rows((8, 1, 1))])
        flow = MultiScale(Chain(steps(4)), rest, (4, 2, 2)).double()
    redraw(flow)
    return flow.requires_grad_(False)


def images(n=5):
    return torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_every_entry_is_kept():
    u = images()
    z, ladj = two_levels(move=False).to_latent(u)
    assert z.shape == (5, 16) and not ladj.any()
    assert torch.equal(z.sort(1).values, u.flatten(1).sort(1).values)


@pytest.mark.parametrize("direction", ["to_latent", "to_data"])
def test_ladj_is_the_log_determinant(direction):
    function, u = getattr(two_levels(), direction), images()
    u = u if direction == "to_latent" else u.flatten(1)
    torch.testing.assert_close(function(u)[1], log_abs_det(lambda v: function(v)[0], u), atol=1e-8, rtol=0)


def test_inverse_both_ways():
    flow, u = two_levels(), images(20)
    z, ladj = flow.to_latent(u)
    back, ladj_back = flow.to_data(z)
    torch.testing.assert_close(back, u, atol=1e-9, rtol=0)
    torch.testing.assert_close(ladj_back, -ladj)
    torch.testing.assert_close(flow.to_latent(flow.to_data(u.flatten(1))[0])[0], u.flatten(1), atol=1e-9, rtol=0)


def test_a_last_coupling_is_a_learned_conditional_prior():
    """log N(b; mu(a), sigma(a)) + log N(a; 0, I) is what a standard normal base gives behind the coupling."""
    with seeded(0):
        prior = coupling(4).double()
    redraw(prior)
    flow = MultiScale(prior, Rows((2, 4, 1)), (4, 4, 1)).requires_grad_(False)
    h = images().reshape(5, 4, 4, 1)
    z, ladj = flow.to_latent(h)
    a, b = h.chunk(2, 1)
    raw, shift = prior.conditioner(a).unflatten(1, (2, 2)).unbind(1)
    mean, log_std = -shift * (-log_scale(raw)).exp(), -log_scale(raw)
    expected = standard_normal_log_prob(a) + normal_log_prob(b, mean, log_std).flatten(1).sum(1)
    torch.testing.assert_close(standard_normal_log_prob(z) + ladj, expected)


def test_an_odd_number_of_channels_is_named():
    with pytest.raises(ValueError, match="expected an even number of channels to factor out half"):
        MultiScale(Squeeze(), Squeeze(), (3, 2, 2))
