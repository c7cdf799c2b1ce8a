"""Transposed convolutions as what they are, sizes, and what each norm promises."""

import pytest
import torch
import torch.nn.functional as F

from fairway.networks.dcgan import ConvCritic, ConvGenerator, PixelRMSNorm, norm_of, picture


def test_a_transposed_convolution_is_zero_dilution_padding_and_convolution():
    x = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    layer = torch.nn.ConvTranspose2d(3, 6, 4, 2, 1)
    wide = x.new_zeros(2, 3, 9, 7)
    wide[..., ::2, ::2] = x  # zeros between the pixels
    turned = layer.weight.flip(2, 3).transpose(0, 1)
    by_hand = F.conv2d(F.pad(wide, [2] * 4), turned, layer.bias)  # k - 1 - p = 2
    torch.testing.assert_close(layer(x), by_hand, rtol=1e-6, atol=1e-6)


def test_it_is_the_adjoint_of_the_convolution():
    layer = torch.nn.ConvTranspose2d(3, 6, 4, 2, 1, bias=False).double()
    x, y = torch.randn(1, 3, 5, 4).double(), torch.randn(1, 6, 10, 8).double()
    torch.testing.assert_close((layer(x) * y).sum(), (x * F.conv2d(y, layer.weight, None, 2, 1)).sum())


@pytest.mark.parametrize(
    ("shape", "hidden"),
    [((28, 28), (16, 8)), ((1, 32, 32), (16, 8, 4)), ((3, 64, 64), (16, 8, 4, 4)), ((5, 8, 12), (8,))],
)
@pytest.mark.parametrize("norm", ["batch", "pixel", "none"])
def test_any_size_and_channels(shape, hidden, norm):
    generator = ConvGenerator(shape, 6, context=2, hidden=hidden, norm=norm)
    critic = ConvCritic(shape, context=2, hidden=hidden[::-1], norm=norm)
    images = generator(torch.randn(3, 6), torch.randn(3, 2))
    assert images.shape == (3, *shape) and images.abs().max() <= 1
    assert critic(images, torch.randn(3, 2)).shape == (3,)


def test_without_squash_there_is_no_bound():
    generator = ConvGenerator((8, 8), 4, hidden=(8,), squash=False)
    torch.nn.init.constant_(generator.grow[-1].bias, 5.0)
    assert generator(torch.randn(3, 4)).max() > 1


@pytest.mark.parametrize("norm", ["pixel", "none"])
def test_rows_do_not_see_each_other(norm):
    critic, u = ConvCritic((8, 8), hidden=(8,), norm=norm), torch.randn(4, 8, 8)
    torch.testing.assert_close(critic(u)[:1], critic(u[:1]))


def test_the_context_reaches_both():
    z, u = torch.randn(4, 4), torch.randn(4, 8, 8)
    generator, critic = ConvGenerator((8, 8), 4, 2, (8,)).eval(), ConvCritic((8, 8), 2, (8,))
    assert (generator(z, torch.zeros(4, 2)) != generator(z, torch.ones(4, 2))).any()
    assert (critic(u, torch.zeros(4, 2)) != critic(u, torch.ones(4, 2))).all()
    torch.testing.assert_close(critic(u, torch.zeros(4, 2)), ConvCritic.forward(critic, u))  # the projection of 0 is 0


def test_pixel_norm_gives_every_pixel_mean_square_one():
    h = PixelRMSNorm()(7 * torch.randn(2, 5, 3, 3))
    torch.testing.assert_close(h.square().mean(1), torch.ones(2, 3, 3), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(10,), (None, 8), (30, 28), (12, 12), (2, 3, 8, 8)])
def test_sizes_that_cannot_be_made_say_so(shape):
    with pytest.raises(ValueError, match=r"expected images|expected sides"):
        picture(shape, 2)


def test_unknown_norm():
    with pytest.raises(ValueError, match="expected norm among batch, pixel, none; got 'group'"):
        norm_of("group", 3)
