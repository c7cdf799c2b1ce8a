"""A 1 x 1 convolution is one matrix at every pixel, a rotation at first, never singular."""

import pytest
import torch

from fairway.models.flow.transforms.conv1x1 import Conv1x1
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw


def images(n=3, channels=4):
    return torch.randn(n, channels, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def mixed(channels=4, spread=0.3):
    link = Conv1x1(channels, seed=1).double()
    redraw(link, spread=spread)
    return link.requires_grad_(False)


def test_every_pixel_is_multiplied_by_the_same_matrix():
    link, u = mixed(), images()
    z, _ = link.to_latent(u)
    torch.testing.assert_close(z, torch.einsum("dc,bchw->bdhw", link.matrix.weight(), u))


@pytest.mark.parametrize("direction", ["to_latent", "to_data"])
def test_ladj_is_the_log_determinant(direction):
    function, u = getattr(mixed(), direction), images()
    torch.testing.assert_close(function(u)[1], log_abs_det(lambda v: function(v)[0], u), atol=1e-8, rtol=0)


def test_inverse_both_ways():
    link, u = mixed(), images(20)
    z, ladj = link.to_latent(u)
    back, ladj_back = link.to_data(z)
    torch.testing.assert_close(back, u, atol=1e-9, rtol=0)
    torch.testing.assert_close(ladj_back, -ladj)


def test_it_starts_as_a_rotation():
    u = images()
    z, ladj = Conv1x1(4, seed=2).double().requires_grad_(False).to_latent(u)
    torch.testing.assert_close(z.square().sum(1), u.square().sum(1), atol=1e-5, rtol=0)
    torch.testing.assert_close(ladj, torch.zeros(3).double(), atol=1e-5, rtol=0)
    assert torch.equal(Conv1x1(4).double().to_latent(u)[0], u)


def test_wrong_channels_are_named():
    with pytest.raises(ValueError, match=r"expected images \(batch, 4, H, W\), got \(3, 3, 3, 2\)"):
        mixed().to_latent(images(channels=3))
