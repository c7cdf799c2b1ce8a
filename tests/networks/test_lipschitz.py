"""Contractions: the measured Lipschitz constant is below the bound and well above zero, on vectors and on images."""

import pytest
import torch

from fairway.core.random import seeded
from fairway.networks.lipschitz import ConcatenatedLipSwish, LipschitzNetwork
from fairway.testing.subject import redraw

SHAPES = [(3,), (2, 4, 3)]


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(shape, context_dims=0, lipschitz=0.97, spread=0.3):
    with seeded(0):
        network = LipschitzNetwork(shape, (8, 6), context_dims, lipschitz).double().eval()
    if spread:
        redraw(network, spread=spread)
    return network.requires_grad_(False)


def norms(network, points):
    """Spectral norms of the Jacobian at points (n, *shape), by autograd."""
    size = points[0].numel()
    jacobians = [torch.autograd.functional.jacobian(lambda r: network(r.unsqueeze(0))[0], p) for p in points]
    return torch.stack([torch.linalg.matrix_norm(j.reshape(size, size), 2) for j in jacobians])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spread", [0, 0.3, 100.0])
def test_the_measured_constant_is_below_one_and_not_zero(shape, spread):
    found = norms(built(shape, spread=spread), 3 * normal(12, *shape))
    assert 1e-3 < float(found.max()) < 0.97


def test_as_built_it_uses_a_good_part_of_what_it_may():
    assert float(norms(built((2,), spread=0), normal(40, 2)).max()) > 0.2


def test_the_activation_is_one_lipschitz_and_nearly_reaches_it():
    act = ConcatenatedLipSwish(2.0).double()
    x = torch.linspace(-30, 30, 20_001, dtype=torch.float64).unsqueeze(1)
    steepest = float(act.with_slope(x)[1].norm(dim=1).max().detach())
    assert 0.995 < steepest <= 1
    torch.testing.assert_close(act.with_slope(x)[0], act(x))


def test_the_slope_of_the_activation_is_its_derivative():
    act = ConcatenatedLipSwish(2.0).double()
    x = normal(50, 1).requires_grad_()
    values, slopes = act.with_slope(x)
    for half in range(2):
        (slope,) = torch.autograd.grad(values[:, half].sum(), x, retain_graph=True)
        torch.testing.assert_close(slope[:, 0], slopes[:, half].detach())


@pytest.mark.parametrize("shape", SHAPES)
def test_directions_are_pushed_through_the_derivative(shape):
    network, u = built(shape), normal(4, *shape)
    w = normal(3, 4, *shape)
    value, push = network.frozen().with_push(u)
    torch.testing.assert_close(value, network(u))
    for direction, pushed in zip(w, push(w), strict=True):
        torch.testing.assert_close(pushed, torch.func.jvp(network, (u,), (direction,))[1])
    torch.testing.assert_close(push(w[:, :2]), push(w)[:, :2])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_context_moves_it_at_any_rate(shape):
    network, u = built(shape, context_dims=2), normal(5, *shape)
    c = normal(5, 2)
    assert float((network(u, c) - network(u, 100 * c)).abs().max()) > 1e-2


def test_bad_widths_and_bounds_are_refused():
    with pytest.raises(ValueError, match="0 < lipschitz < 1"):
        LipschitzNetwork((2,), (4,), lipschitz=1.0)
    with pytest.raises(ValueError, match="at least one hidden width"):
        LipschitzNetwork((2,), ())
