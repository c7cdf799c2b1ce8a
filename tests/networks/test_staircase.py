"""Products with a staircase are those with the whole matrix, and so are their gradients of both orders."""

import math

import pytest
import torch

from fairway.networks import staircase
from fairway.networks.masked import MaskedMLP
from fairway.networks.staircase import COUNTS, product, stairs


def lower(outputs=12, inputs=10):
    """A block triangular mask of three degrees, the first rows without any connection."""
    below, above = torch.arange(inputs) * 3 // inputs, torch.arange(outputs) * 3 // outputs
    return above.unsqueeze(1) > below


@pytest.fixture
def at_once(monkeypatch):
    """Stairs are climbed, however small the product."""
    monkeypatch.setattr(staircase, "LEAST", {True: (0, math.inf), False: (math.inf, 0)})


def parts(mask, batch=5, wide=False):
    gen = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=gen, dtype=torch.float64, requires_grad=True)  # noqa: E731
    weight = (draw(*mask.shape) * mask).detach().requires_grad_()
    return draw(mask.shape[1], batch), weight, draw(len(mask), batch if wide else 1)


def test_the_stairs_hold_every_connection_and_leave_the_corner_out():
    mask = lower()
    for count in COUNTS:
        found = stairs(mask, count)
        covered = torch.zeros_like(mask)
        for rows, columns in found.rows:
            covered[rows, columns] = True
        assert (covered | ~mask).all() and not covered.all()
        turned = torch.zeros_like(mask)
        for columns, rows in found.columns:
            turned[rows, columns] = True
        assert (turned | ~mask).all()


def test_stairs_that_leave_nothing_out_are_not_climbed():
    assert staircase.staircases(torch.ones(64, 64)) == {}
    assert set(staircase.staircases(torch.ones(64, 64).tril())) == set(COUNTS)
    half = torch.ones(64, 64)
    half[:8, 8:] = 0
    assert staircase.staircases(half) == {}  # one step of two leaves an eighth out, at most


def test_fewer_rows_than_steps():
    mask = torch.ones(1, 3, dtype=torch.bool)
    assert stairs(mask, 4).rows == [(slice(0, 1), slice(0, 3))]


@pytest.mark.parametrize("wide", [False, True])
def test_the_product_and_its_gradient(at_once, wide):
    mask = lower()
    x, weight, offset = parts(mask, wide=wide)
    choices = {count: stairs(mask, count) for count in COUNTS}
    y = product(x, weight, offset, choices)
    assert type(y.grad_fn).__name__ == "_ProductBackward"
    torch.testing.assert_close(y, weight @ x + offset)
    with torch.no_grad():
        torch.testing.assert_close(product(x, weight, offset, choices), y)
    found = torch.autograd.grad(y.sin().sum(), (x, weight, offset))
    wanted = torch.autograd.grad((weight @ x + offset).sin().sum(), (x, weight, offset))
    torch.testing.assert_close(found[0], wanted[0])
    torch.testing.assert_close(found[1] * mask, wanted[1] * mask)  # beyond the mask nobody asks
    torch.testing.assert_close(found[2], wanted[2])


def test_second_derivatives_and_forward_mode(at_once):
    mask = lower()
    choices = {count: stairs(mask, count) for count in COUNTS}
    x, weight, offset = parts(mask, batch=2)
    assert torch.autograd.gradgradcheck(lambda x, w, b: product(x, w * mask, b, choices).sin(), (x, weight, offset))
    assert torch.autograd.gradcheck(
        lambda x, w, b: product(x, w * mask, b, choices), (x, weight, offset), check_forward_ad=True
    )


def test_function_transforms_take_the_whole_product(at_once):
    mask = lower()
    choices = {count: stairs(mask, count) for count in COUNTS}
    x, weight, offset = parts(mask)
    slope = torch.func.jacrev(lambda x: product(x, weight, offset, choices)[:, 0])(x)[..., 0]
    torch.testing.assert_close(slope, weight)


@pytest.mark.parametrize("order", [None, [3, 1, 0, 4, 2]])
@pytest.mark.parametrize("outputs", [2, 7])
def test_a_masked_network_gives_the_same_either_way(monkeypatch, order, outputs):
    network = MaskedMLP(5, outputs, (16, 16), order=order, context=2, direct=True).double()
    x, c = torch.randn(5, 6, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)
    whole = network.columns(x, c)
    slopes = torch.autograd.grad(whole.sin().sum(), list(network.parameters()))
    monkeypatch.setattr(staircase, "LEAST", {True: (0, 0), False: (0, 0)})
    torch.testing.assert_close(network.columns(x, c), whole)
    torch.testing.assert_close(
        torch.autograd.grad(network.columns(x, c).sin().sum(), list(network.parameters())), slopes
    )
    torch.testing.assert_close(network(x.T, c).permute(2, 1, 0), whole)


def test_half_precision_follows_autocast(at_once):
    mask = lower()
    choices = {count: stairs(mask, count) for count in COUNTS}
    x, weight, offset = (part.detach().float() for part in parts(mask))
    with torch.autocast("cpu", torch.bfloat16):
        assert product(x, weight, offset, choices).dtype == torch.bfloat16
