"""A coupling of images is triangular, and its log-determinant is that of its Jacobian, in both directions."""

import pytest
import torch

from fairway.core.random import seeded
from fairway.models.flow.transforms.image_coupling import ImageCoupling
from fairway.models.flow.transforms.univariate import affine, shift
from fairway.networks.conv import ConvNet
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw


def coupling(channels=4, swap=False, context=0, univariate=affine):
    kept, moved = ImageCoupling.sizes(channels, swap)
    with seeded(0):
        network = ConvNet(kept, univariate.parameters * moved, (6,), context)
    link = ImageCoupling(channels, univariate, network, swap).double()
    redraw(link)
    return link.requires_grad_(False)


def images(n=3, channels=4):
    return torch.randn(n, channels, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("direction", ["to_latent", "to_data"])
def test_ladj_is_the_log_determinant(channels, swap, direction):
    function, u = getattr(coupling(channels, swap), direction), images(channels=channels)
    torch.testing.assert_close(function(u)[1], log_abs_det(lambda v: function(v)[0], u), atol=1e-8, rtol=0)


@pytest.mark.parametrize("swap", [False, True])
def test_inverse_both_ways(swap):
    link, u = coupling(swap=swap), images(20)
    z, ladj = link.to_latent(u)
    back, ladj_back = link.to_data(z)
    torch.testing.assert_close(back, u, atol=1e-9, rtol=0)
    torch.testing.assert_close(ladj_back, -ladj)
    assert float((z - u).abs().max()) > 0.1


@pytest.mark.parametrize(("swap", "kept", "moved"), [(False, [0, 1], [2, 3]), (True, [2, 3], [0, 1])])
def test_one_half_stays(swap, kept, moved):
    u = images()
    z, _ = coupling(swap=swap).to_latent(u)
    assert torch.equal(z[:, kept], u[:, kept]) and float((z[:, moved] - u[:, moved]).abs().min()) > 0


def test_a_shift_keeps_the_volume():
    assert not coupling(univariate=shift).to_latent(images())[1].any()


def test_context_changes_what_moves():
    link, u = coupling(context=2), images()
    a, b = (link.to_latent(u, torch.full((3, 2), value).double())[0] for value in (0.0, 1.0))
    assert torch.equal(a[:, :2], b[:, :2]) and float((a[:, 2:] - b[:, 2:]).abs().min()) > 0


def test_wrong_channels_are_named():
    with pytest.raises(ValueError, match="expected at least 2 channels to couple, got 1"):
        ImageCoupling.sizes(1)
    with pytest.raises(ValueError, match=r"expected images \(batch, 4, H, W\), got \(3, 3, 3, 2\)"):
        coupling().to_latent(images(channels=3))
