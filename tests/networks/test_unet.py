"""The U-Net: sizes and channels of all kinds, second derivatives, what reaches what."""

import pytest
import torch

from fairway.core.config import Configurable
from fairway.core.random import Rows, seeded
from fairway.networks.registry import networks
from fairway.networks.unet import PixelNorm, UNet


def network(channels=1, redrawn=True, **options):
    with seeded(0):
        unet = UNet(channels, **{"hidden": (4, 8), "blocks": 1} | options)
        for parameter in unet.parameters() if redrawn else ():
            torch.nn.init.normal_(parameter, std=0.2)
    return unet.double().eval()


def images(*shape, seed=0):
    return Rows(seed, shape[0], dtype=torch.float64).normal(*shape[1:])


def times(n):
    return torch.linspace(0.1, 0.9, n, dtype=torch.float64)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 7), (2, 5, 12), (1, 1, 3), (8, 8), (7, 5)])
@pytest.mark.parametrize("hidden", [(4,), (4, 8), (4, 8, 8)])
def test_keeps_the_shape_whatever_the_size(shape, hidden):
    channels = shape[0] if len(shape) == 3 else 1
    u = images(2, *shape)
    assert network(channels, hidden=hidden)(u, times(2)).shape == u.shape
    assert network(channels, hidden=hidden, outputs=2)(u, times(2)).shape == (2, 2 * shape[0], *shape[1:])


def test_starts_at_zero():
    u = images(3, 1, 8, 8)
    assert torch.equal(network(redrawn=False)(u, times(3)), torch.zeros_like(u))


def test_images_without_channels_are_images_of_one():
    unet, u = network(outputs=2), images(3, 6, 8)
    torch.testing.assert_close(unet(u, times(3)).reshape(3, 2, 6, 8), unet(u.unsqueeze(1), times(3)))


def test_padding_is_zeros_that_are_cropped():
    unet, u = network(), images(2, 1, 7, 8)
    padded = torch.cat([u, torch.zeros(2, 1, 1, 8, dtype=torch.float64)], 2)
    torch.testing.assert_close(unet(u, times(2)), unet(padded, times(2))[:, :, :7])


def test_every_pixel_sees_every_other():
    unet, u = network(hidden=(4, 8, 8)), images(1, 1, 8, 8)
    jacobian = torch.autograd.functional.jacobian(lambda v: unet(v, times(1)), u).reshape(64, 64)
    assert float(jacobian.abs().min()) > 0


def test_rows_do_not_see_each_other():
    unet, u, context = network(context=3), images(6, 1, 8, 8), images(6, 3, seed=1)
    torch.testing.assert_close(unet(u, times(6), context)[2:4], unet(u[2:4], times(6)[2:4], context[2:4]))


def test_time_and_context_matter():
    unet, u, context = network(context=3), images(4, 1, 8, 8), torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0]]
    base = unet(u, times(4), context)
    assert not torch.allclose(base, unet(u, times(4).flip(0), context))
    assert not torch.allclose(base, unet(u, times(4), context.roll(1, 0)))


def test_a_missing_context_is_a_learned_one_where_it_is_dropped():
    unet, u = network(context=3, context_dropout=0.5), images(4, 1, 8, 8)
    zeros = torch.zeros(4, 3, dtype=torch.float64)
    assert not torch.allclose(unet(u, times(4)), unet(u, times(4), zeros))
    torch.nn.init.zeros_(unet.conditions.nothing)
    torch.testing.assert_close(unet(u, times(4)), unet(u, times(4), zeros))


def test_every_weight_is_used():
    unet = network(2, hidden=(4, 8, 8), blocks=2, context=3)
    unet(images(3, 2, 8, 8), times(3), images(3, 3, seed=1)).square().sum().backward()
    unmoved = [name for name, p in unet.named_parameters() if p.grad is None or not p.grad.any()]
    assert unmoved == []


def test_dropout_is_for_training():
    unet, u = network(dropout=0.5), images(3, 1, 8, 8)
    assert torch.equal(unet(u, times(3)), unet(u, times(3)))
    assert not torch.equal(unet.train()(u, times(3)), unet(u, times(3)))


def test_derivatives_of_derivatives():
    """Exact divergences, and scores that are learned through a density, need them."""
    unet, u, t = network(hidden=(4, 4)), images(2, 1, 4, 4).requires_grad_(), times(2).requires_grad_()
    assert torch.autograd.gradcheck(unet, (u, t), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(unet, (u, t))


def test_forward_derivatives_under_vmap():
    unet, u = network(), images(2, 1, 4, 4)
    jacobian = torch.autograd.functional.jacobian(lambda v: unet(v, times(2)), u)
    basis = torch.eye(32, dtype=torch.float64).reshape(32, 2, 1, 4, 4)
    columns = torch.func.vmap(lambda v: torch.func.jvp(lambda w: unet(w, times(2)), (u,), (v,))[1])(basis)
    torch.testing.assert_close(columns.reshape(32, 32).T, jacobian.reshape(32, 32))


def test_pixel_norm_standardises_the_channels_of_each_pixel():
    h = PixelNorm(6).double()(3 + 5 * images(2, 6, 3, 4))
    torch.testing.assert_close(h.mean(1), torch.zeros(2, 3, 4, dtype=torch.float64))
    torch.testing.assert_close(h.var(1, unbiased=False), torch.ones(2, 3, 4, dtype=torch.float64), rtol=1e-4, atol=0)


def test_bfloat16_says_nearly_the_same():
    unet, u = network(hidden=(16, 32)).float(), images(4, 1, 12, 12).float()
    with torch.no_grad():
        exact = unet(u, times(4).float())
        with torch.autocast("cpu", torch.bfloat16):
            rounded = unet(u, times(4).float())
    assert float((rounded.float() - exact).norm() / exact.norm()) < 0.05


def test_is_one_graph():
    unet, u = network(context=3, context_dropout=0.1), images(2, 1, 9, 8)
    whole = torch.compile(unet, backend="eager", fullgraph=True)
    torch.testing.assert_close(whole(u, times(2), images(2, 3)), unet(u, times(2), images(2, 3)))


def test_is_written_down_and_rebuilt():
    unet = network(2, context=3, hidden=(4, 8), context_dropout=0.1)
    assert isinstance(unet, Configurable)
    assert networks.get("unet") is UNet
    again = UNet(**unet.arguments).double().eval()
    again.load_state_dict(unet.state_dict())
    u, context = images(2, 2, 8, 8), images(2, 3, seed=1)
    assert torch.equal(unet(u, times(2), context), again(u, times(2), context))


@pytest.mark.parametrize("options", [{"hidden": ()}, {"blocks": 0}])
def test_a_net_of_nothing_is_refused(options):
    with pytest.raises(ValueError, match="one size or more"):
        UNet(1, **options)


@pytest.mark.parametrize("shape", [(5, 2), (5, 3, 8, 8), (5, 1, 1, 8, 8)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected images \(batch, 1, height, width\)"):
        network()(torch.zeros(shape), torch.zeros(5))
