"""A convolutional conditioner keeps the size, starts at zero, sees its context everywhere, and stays bounded."""

import pytest
import torch

from fairway.core.random import seeded
from fairway.networks.conv import ContextBias, ConvNet, PixelBias, held, pixel_norm
from fairway.testing.subject import redraw


def images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def network(context=0, hidden=(8, 6), dropout=0.0):
    with seeded(0):
        return ConvNet(3, 4, hidden, context, dropout).requires_grad_(False)


@pytest.mark.parametrize("hidden", [(8,), (8, 6), (4, 5, 6)])
def test_it_keeps_the_size_and_starts_at_zero(hidden):
    net, x = network(hidden=hidden), images(2, 3, 5, 7)
    assert net(x).shape == (2, 4, 5, 7) and not net(x).any()
    redraw(net)
    assert float(net(x).abs().min()) > 0


def test_context_moves_every_pixel_and_channel():
    net, x = network(context=2), images(2, 3, 4, 4)
    redraw(net)
    a, b = (net(x, torch.full((2, 2), value)) for value in (0.0, 1.0))
    assert float((a - b).abs().min()) > 0


def test_a_context_of_another_size_is_named():
    net, x = network(context=2), images(2, 3, 4, 4)
    with pytest.raises(ValueError, match=r"expected a context of shape \(batch, 2\), got none"):
        net(x)
    with pytest.raises(ValueError, match=r"expected a context of shape \(batch, 2\), got one of shape \(2, 3\)"):
        net(x, torch.zeros(2, 3))
    with pytest.raises(ValueError, match="expected no context, got one"):
        network()(x, torch.zeros(2, 3))
    with pytest.raises(ValueError, match="at least one hidden width"):
        ConvNet(3, 4, ())


def test_a_context_bias_of_nothing_is_nothing():
    h = images(2, 3, 4, 4)
    assert ContextBias(0, 3)(h, None) is h


def test_pixels_are_standardised_by_themselves():
    h = pixel_norm(images(2, 16, 3, 3) * 40 + 7)
    assert float(h.mean(1).abs().max()) < 1e-5 and float((h.var(1, correction=0) - 1).abs().max()) < 1e-3


def test_the_output_is_bounded_whatever_the_input():
    net = network()
    redraw(net)
    largest = [float(net(scale * images(2, 3, 5, 5)).abs().max()) for scale in (1.0, 1e4, 1e8)]
    assert largest[2] < 5 * largest[0]


def test_dropout_acts_in_training_only():
    net, x = network(dropout=0.5), images(2, 3, 4, 4)
    redraw(net)
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_waves_tell_where_a_pixel_lies():
    x = torch.ones(1, 3, 9, 9)
    with seeded(0):
        same, told = (ConvNet(3, 2, (6,), waves=waves).requires_grad_(False) for waves in (0, 3))
    redraw(same)
    redraw(told)
    inside = (slice(None), slice(None), slice(2, 7), slice(2, 7))  # away from the padded rim
    assert float(same(x)[inside].std((2, 3)).max()) < 1e-6 < float(told(x)[inside].std((2, 3)).min())


def test_as_many_waves_as_pixels_draw_any_image():
    image = images(1, 4, 5, 3)
    bias = PixelBias(5, 4)
    basis = bias._along(5, image)
    assert int(torch.linalg.matrix_rank(basis)) == 5
    assert torch.equal(bias(image), image) and torch.equal(PixelBias(0, 4)(image), image)


def test_inputs_are_held_and_lie_channels_last():
    x = held(torch.tensor([1e9, -1e9, 7.0]).reshape(1, 3, 1, 1).expand(2, 3, 4, 4))
    assert x[0, :, 0, 0].tolist() == [1e3, -1e3, 7.0] and x.is_contiguous(memory_format=torch.channels_last)
