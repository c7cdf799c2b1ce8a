"""A residual conditioner keeps the size, starts at zero, sees its context, and rows do not see one another."""

import pytest
import torch

from fairway.core.random import seeded
from fairway.networks.resnet import ResNet
from fairway.testing.subject import redraw


def images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def network(context=0, hidden=(8, 6), dropout=0.0):
    with seeded(0):
        return ResNet(3, 4, hidden, context, dropout).requires_grad_(False)


@pytest.mark.parametrize("hidden", [(8,), (8, 6), (4, 5, 6)])
def test_it_keeps_the_size_and_starts_at_zero(hidden):
    net, x = network(hidden=hidden), images(2, 3, 5, 7)
    assert net(x).shape == (2, 4, 5, 7) and not net(x).any()
    assert len(net.blocks) == len(hidden)
    redraw(net)
    assert float(net(x).abs().min()) > 0


def test_an_output_sees_two_pixels_further_with_every_block():
    net, x = network(hidden=(4,)), images(1, 3, 11, 11).requires_grad_()
    redraw(net)
    (slope,) = torch.autograd.grad(net(x)[0, 0, 5, 5], x)
    seen = (slope[0].abs().sum(0) > 0).nonzero()
    assert seen.amin(0).tolist() == [2, 2] and seen.amax(0).tolist() == [8, 8]


def test_rows_do_not_see_one_another():
    net, x = network().train(), images(3, 3, 4, 4)
    redraw(net)
    torch.testing.assert_close(net(x)[1:2], net(x[1:2]))


def test_context_is_used_and_its_size_checked():
    net, x = network(context=2), images(2, 3, 4, 4)
    redraw(net)
    a, b = (net(x, torch.full((2, 2), value)) for value in (0.0, 1.0))
    assert float((a - b).abs().min()) > 0
    with pytest.raises(ValueError, match=r"expected a context of shape \(batch, 2\), got one of shape \(2, 3\)"):
        net(x, torch.zeros(2, 3))
    with pytest.raises(ValueError, match="at least one residual block"):
        ResNet(3, 4, ())


def test_the_output_is_bounded_whatever_the_input():
    net = network()
    redraw(net)
    largest = [float(net(scale * images(2, 3, 5, 5)).abs().max()) for scale in (1.0, 1e8)]
    assert largest[1] < 5 * largest[0]


def test_dropout_acts_in_training_only():
    net, x = network(dropout=0.5), images(2, 3, 4, 4)
    redraw(net)
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_waves_tell_where_a_pixel_lies():
    x = torch.ones(1, 3, 11, 11)
    with seeded(0):
        same, told = (ResNet(3, 2, (6,), waves=waves).requires_grad_(False) for waves in (0, 3))
    redraw(same)
    redraw(told)
    inside = (slice(None), slice(None), slice(3, 8), slice(3, 8))  # away from the padded rim
    assert float(same(x)[inside].std((2, 3)).max()) < 1e-5 < float(told(x)[inside].std((2, 3)).min())
