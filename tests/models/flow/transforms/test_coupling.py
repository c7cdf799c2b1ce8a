"""A coupling is triangular, and its log-determinant is that of its Jacobian, in both directions."""

import pytest
import torch

from fairway.core.random import seeded
from fairway.models.flow.transforms.coupling import Coupling
from fairway.models.flow.transforms.univariate import affine
from fairway.networks.mlp import MLP


def coupling(dims=5, swap=False, context=0, seed=0):
    """Float64, every parameter redrawn from N(0, 0.3^2)."""
    kept, moved = Coupling.sizes(dims, swap)
    with seeded(seed):
        link = Coupling(dims, affine, MLP(kept + context, affine.parameters * moved, (16,)), swap).double()
        for parameter in link.parameters():
            parameter.data.normal_(0, 0.3)
    return link.requires_grad_(False)


def rows(n=6, dims=5):
    return torch.randn(n, dims, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def jacobian(function, row):
    return torch.autograd.functional.jacobian(lambda r: function(r.unsqueeze(0))[0][0], row)


@pytest.mark.parametrize("dims", [2, 5])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("direction", ["to_latent", "to_data"])
def test_ladj_is_the_log_determinant_of_the_jacobian(dims, swap, direction):
    link, x = coupling(dims, swap), rows(dims=dims)
    function = getattr(link, direction)
    _, ladj = function(x)
    for row, value in zip(x, ladj, strict=True):
        torch.testing.assert_close(torch.linalg.slogdet(jacobian(function, row))[1], value)


@pytest.mark.parametrize("swap", [False, True])
def test_the_jacobian_is_triangular_with_an_identity_block(swap):
    link, x = coupling(swap=swap), rows()
    first = 2
    matrix = jacobian(link.to_latent, x[0])
    kept = slice(first, None) if swap else slice(0, first)
    moved = slice(0, first) if swap else slice(first, None)
    assert torch.equal(matrix[kept, kept], torch.eye(matrix[kept, kept].shape[0]).double())
    assert float(matrix[kept, moved].abs().max()) == 0
    block = matrix[moved, moved]
    assert torch.equal(block, torch.diag(block.diagonal()))
    assert float(matrix[moved, kept].abs().min()) > 0, "the conditioner is not used"


@pytest.mark.parametrize("swap", [False, True])
def test_inverse_both_ways(swap):
    link, x = coupling(swap=swap), rows(50)
    z, ladj = link.to_latent(x)
    back, ladj_back = link.to_data(z)
    torch.testing.assert_close(back, x, atol=1e-9, rtol=0)
    torch.testing.assert_close(ladj_back, -ladj)
    assert float((z - x).abs().max()) > 0.1


def test_context_changes_what_moves_and_not_what_stays():
    link, x = coupling(context=2), rows()
    a, b = (link.to_latent(x, torch.full((6, 2), value).double())[0] for value in (0.0, 1.0))
    assert torch.equal(a[:, :2], x[:, :2]) and torch.equal(b[:, :2], x[:, :2])
    assert float((a[:, 2:] - b[:, 2:]).abs().min()) > 0


@pytest.mark.parametrize(("dims", "swap", "sizes"), [(5, False, (2, 3)), (5, True, (3, 2)), (2, True, (1, 1))])
def test_sizes(dims, swap, sizes):
    assert Coupling.sizes(dims, swap) == sizes
