"""Block-triangular both ways of reading; cached draws are the naive inverse; guidance is a line through two laws."""

import pytest
import torch

from fairway.core.random import Rows, seeded
from fairway.models.flow.transforms.attention import CausalAttention
from fairway.models.flow.transforms.univariate import affine
from fairway.networks.causal_transformer import CausalTransformer


def normal(*shape, seed=0):
    return Rows(seed, shape[0], dtype=torch.float64).normal(*shape[1:])


def redrawn(dims=7, size=2, reverse=False, context=0, spread=0.5):
    tokens = -(-dims // size)
    with seeded(0):
        network = CausalTransformer(tokens, size, 2 * size, context, 8, 1, 2, context_dropout=0.5)
        link = CausalAttention(dims, network, size, reverse).double()
        for parameter in link.parameters():
            torch.nn.init.normal_(parameter, std=spread)
    return link.eval().requires_grad_(False)


def naive(link, z, context=None):
    """The inverse without a memory: one whole pass for every token."""
    noise, x = link._tokens(z), torch.zeros_like(link._tokens(z))
    for t in range(x.shape[1]):
        phi = link._phi(link.network(x, context), link.real)
        x[:, t] = affine.to_data(noise, phi)[0][:, t]
    return link._vectors(x)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("dims", "size"), [(6, 1), (6, 3), (7, 2)])
def test_both_ways_with_their_log_determinants(dims, size, reverse):
    link, u = redrawn(dims, size, reverse), normal(4, dims)
    z, there = link.to_latent(u)
    again, back = link.to_data(z)
    torch.testing.assert_close(again, u, atol=1e-9, rtol=0)
    torch.testing.assert_close(back, -there, atol=1e-9, rtol=0)
    for row, value in zip(u, there, strict=True):
        matrix = torch.autograd.functional.jacobian(lambda r: link.to_latent(r.unsqueeze(0))[0][0], row)
        torch.testing.assert_close(torch.linalg.slogdet(matrix)[1], value, atol=1e-8, rtol=0)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_jacobian_is_triangular_in_tokens(reverse):
    link = redrawn(6, 2, reverse)
    matrix = torch.autograd.functional.jacobian(lambda r: link.to_latent(r.unsqueeze(0))[0][0], normal(6))
    tokens = matrix.unflatten(0, (3, 2)).unflatten(2, (3, 2)).abs().amax((1, 3)) > 0
    whole = torch.ones(3, 3).bool()
    assert torch.equal(tokens, whole.triu() if reverse else whole.tril())
    blocks = matrix.unflatten(0, (3, 2)).unflatten(2, (3, 2)).diagonal(dim1=0, dim2=2)
    assert float(blocks[0, 1].abs().max()) == 0  # within a token entries do not see each other


@pytest.mark.parametrize("reverse", [False, True])
def test_the_cached_inverse_is_the_naive_one(reverse):
    link, z, context = redrawn(7, 2, reverse, context=3), normal(5, 7), normal(5, 3, seed=4)
    torch.testing.assert_close(link.to_data(z, context)[0], naive(link, z, context), atol=1e-9, rtol=0)
    single = link.float()
    cached, slow = single.to_data(z.float(), context.float())[0], naive(single, z.float(), context.float())
    torch.testing.assert_close(cached, slow, atol=1e-4, rtol=1e-4)


def test_each_token_is_processed_once():
    link, seen = redrawn(8, 1), []
    link.network.blocks[0].perceptron.register_forward_hook(lambda m, i, o: seen.append(i[0].shape[1]))
    link.to_data(normal(3, 8))
    assert seen == [1] * 8


def test_guidance_lies_on_the_line_through_both_laws():
    link, z, context = redrawn(4, 4, context=3), normal(5, 4), normal(5, 3, seed=4)
    laws = {}
    for name, c in (("without", None), ("with", context)):
        mean, _ = link.to_data(torch.zeros_like(z), c)
        scale = (link.to_data(torch.ones_like(z), c)[0] - mean).log()
        laws[name] = torch.stack([mean, scale])
    mean, scale = laws["without"] + 2.5 * (laws["with"] - laws["without"])
    torch.testing.assert_close(link.to_data_guided(z, context, 2.5)[0], mean + scale.exp() * z)
    for scale, c in ((0.0, None), (1.0, context)):
        assert torch.equal(link.to_data_guided(z, context, scale)[0], link.to_data(z, c)[0])


def test_draws_carry_the_gradient():
    link, z = redrawn(5, 1).requires_grad_(True), normal(3, 5).requires_grad_()
    u, ladj = link.to_data(z)
    found = torch.autograd.grad(u.square().sum() + ladj.sum(), [z, *link.parameters()], allow_unused=True)
    matrices = [torch.autograd.functional.jacobian(lambda r: link.to_latent(r[None])[0][0], row) for row in u.detach()]
    only_u = torch.autograd.grad(link.to_data(z)[0].square().sum(), z)[0]
    wanted = torch.stack([2 * row @ torch.linalg.inv(m) for row, m in zip(u.detach(), matrices, strict=True)])
    torch.testing.assert_close(only_u, wanted)
    assert all(g is not None and g.isfinite().all() for g in found[:1]) and sum(g is not None for g in found) > 10


@pytest.mark.parametrize("spread", [5.0, 100.0])
def test_wild_parameters_and_inputs_stay_finite(spread):
    link = redrawn(6, 2, spread=spread).float()
    for u in (normal(5, 6).float(), 1e4 * normal(5, 6).float()):
        for value in (*link.to_latent(u), *link.to_data(u)):
            assert value.isfinite().all()
