"""Residual networks of spectral norm 1: how the class comes in, and that nothing comes in unnormed."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fairway.core.random import seeded
from fairway.networks.biggan import BigGANCritic, BigGANGenerator, ConditionalBatchNorm
from fairway.networks.spectral_layers import Spectral


def normal(*shape, seed=7):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def generator():
    with seeded(0):
        return BigGANGenerator((2, 16, 24), 5, context=3, hidden=(6, 4))


@pytest.fixture
def critic():
    with seeded(1):
        return BigGANCritic((2, 16, 24), context=3, hidden=(4, 6)).eval()


def test_a_gain_and_a_bias_for_each_class():
    with seeded(0):
        norm = ConditionalBatchNorm(4, embedding=3)
    h, e = normal(32, 4, 5, 5), 3 * torch.eye(3)[torch.arange(32) % 3]
    plain = (h - h.mean((0, 2, 3), keepdim=True)) / (h.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    told = norm(h, e)
    norm.eval()  # the maps as they settle
    gain, bias = norm.gain(e)[..., None, None], norm.bias(e)[..., None, None]
    torch.testing.assert_close(told, plain * (1 + gain) + bias, rtol=0.05, atol=0.05)
    means = torch.stack([told[k::3].mean((0, 2, 3)) for k in range(3)])
    assert float((means[0] - means[1]).detach().abs().max()) > 0.5


def test_without_a_class_the_norm_is_plain():
    norm, theirs, h = ConditionalBatchNorm(4), nn.BatchNorm2d(4), normal(8, 4, 3, 3)
    assert torch.equal(norm(h), theirs(h)) and torch.equal(norm(h, None), theirs(h))
    assert norm.gain is None and norm.norm.affine


def test_the_class_reaches_every_block(generator):
    z, c = normal(6, 5), torch.eye(3)[[0, 1, 2, 0, 1, 2]]
    generator.eval()
    out = generator(z, c)
    assert out.shape == (6, 2, 16, 24) and bool((out.abs() <= 1).all())
    for block in generator.blocks:
        kept = [(norm.gain, norm.bias) for norm in block.norms]
        for norm in block.norms:
            norm.gain = norm.bias = None
        assert not torch.equal(generator(z, c), out)
        for norm, (gain, bias) in zip(block.norms, kept, strict=True):
            norm.gain, norm.bias = gain, bias
    assert torch.equal(generator(z, c), out)


def test_a_generator_without_a_context_takes_none():
    with seeded(0):
        network = BigGANGenerator((8, 8), 5, hidden=(6,), squash=False)
    assert network(9 * normal(4, 5)).shape == (4, 8, 8) and network.embed is None
    assert not any(isinstance(m, ConditionalBatchNorm) and m.gain is not None for m in network.modules())


def test_every_layer_but_the_embedding_is_normed(generator, critic):
    for network in (generator, critic):
        plain = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]
        assert plain == ([generator.embed] if network is generator else [])
        assert sum(isinstance(m, Spectral) for m in network.modules()) == (16 if network is generator else 10)


def test_the_critic_meets_the_class_by_an_inner_product(critic):
    u, one, two = normal(4, 2, 16, 24), *torch.eye(3)[:2]
    features = F.relu(critic.blocks(u)).sum((2, 3))
    wanted = features @ critic.project.scaled() @ (one - two)
    torch.testing.assert_close(critic(u, one.expand(4, 3)) - critic(u, two.expand(4, 3)), wanted)
    torch.testing.assert_close(critic(u), critic.last(features).squeeze(1))


def test_the_critics_rows_do_not_mix_and_pixels_are_not_cut_off(critic):
    u = normal(4, 2, 16, 24)
    torch.testing.assert_close(critic(u)[:2], critic(u[:2]))
    dark, darker = torch.full((1, 2, 16, 24), -0.5), torch.full((1, 2, 16, 24), -1.0)
    assert not torch.isclose(critic(dark), critic(darker))


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="expected sides that 3 halvings leave whole"):
        BigGANCritic((28, 28), hidden=(4, 4, 4))


def test_what_the_critic_sums_saw_most_of_the_picture():
    with seeded(0):
        network = BigGANCritic((28, 28), hidden=(4, 6)).eval()
    pixels = normal(1, 1, 28, 28).requires_grad_()
    (slope,) = torch.autograd.grad(network.blocks(pixels)[0, :, 3, 3].sum(), pixels)
    rows = (slope[0, 0].abs().sum(1) > 0).nonzero()
    assert int(rows.max() - rows.min()) + 1 > 20  # without the last block it is 16 at most
