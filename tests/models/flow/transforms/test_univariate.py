"""Increasing maps of one number: inverse, derivative, identity at zero."""

import pytest
import torch

from fairway.models.flow.transforms.rational_quadratic import rational_quadratic
from fairway.models.flow.transforms.univariate import LARGEST_LOG_SCALE, affine, log_scale, raw_log_scale, shift

MAPS = {"affine": affine, "shift": shift, "spline": rational_quadratic(6, 5.0)}


@pytest.fixture(params=list(MAPS))
def univariate(request):
    return MAPS[request.param]


def drawn(univariate, spread=1.0):
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    return u, spread * torch.randn(univariate.parameters, 50, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_inverse_both_ways(univariate, spread):
    u, phi = drawn(univariate, spread)
    z, ladj = univariate.to_latent(u, phi)
    back, ladj_back = univariate.to_data(z, phi)
    torch.testing.assert_close(back, u, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ladj_back, -ladj, rtol=1e-9, atol=1e-8)
    with torch.no_grad():
        torch.testing.assert_close(univariate.solve(z, phi, torch.empty_like(z)), back, rtol=0, atol=1e-12)


def test_ladj_is_the_log_of_the_slope_and_the_map_increases(univariate):
    u, phi = drawn(univariate)
    u.requires_grad_()
    z, ladj = univariate.to_latent(u, phi)
    (slope,) = torch.autograd.grad(z.sum(), u)
    assert bool((slope > 0).all())
    torch.testing.assert_close(slope.log(), ladj)


def test_zero_is_the_identity(univariate):
    u, phi = drawn(univariate, 0.0)
    z, ladj = univariate.to_latent(u, phi)
    torch.testing.assert_close(z, u, rtol=0, atol=1e-14)
    assert float(ladj.abs().max()) < 1e-14


def test_affine_is_its_formula_within_bounds():
    z, ladj = affine.to_latent(torch.tensor([[2.0]]), torch.tensor([[[0.5]], [[-1.0]]]))
    s = torch.tensor(0.5 / (1 + (0.5 / LARGEST_LOG_SCALE) ** 2) ** 0.5)
    torch.testing.assert_close(z, 2.0 * s.exp().reshape(1, 1) - 1.0)
    _, ladj = affine.to_latent(torch.ones(1, 2), torch.tensor([[[1e9, -1e9]], [[0.0, 0.0]]]))
    torch.testing.assert_close(ladj, torch.tensor([[LARGEST_LOG_SCALE, -LARGEST_LOG_SCALE]]))


def test_a_raw_log_scale_is_the_inverse():
    s = torch.linspace(-2.9, 2.9, 9, dtype=torch.float64)
    torch.testing.assert_close(log_scale(raw_log_scale(s)), s)


def test_gradients_of_both_orders(univariate):
    u, phi = (part[..., :4, :2].contiguous() for part in drawn(univariate))
    u.requires_grad_()
    phi.requires_grad_()
    assert torch.autograd.gradcheck(univariate.to_latent, (u, phi))
    assert torch.autograd.gradgradcheck(univariate.to_latent, (u, phi))


def test_the_gradient_of_an_affine_map_is_that_of_its_operations():
    u, phi = drawn(affine)
    phi = phi.transpose(0, 1).contiguous().transpose(0, 1)  # laid out as masked networks give it
    found = []
    for form in (affine.to_latent, lambda u, phi: (u * log_scale(phi[0]).exp() + phi[1], log_scale(phi[0]))):
        inputs = u.clone().requires_grad_(), phi.clone().requires_grad_()
        z, ladj = form(*inputs)
        found.append(torch.autograd.grad(z.sin().sum() + ladj.cos().sum(), inputs))
    torch.testing.assert_close(found[0], found[1])


def test_an_affine_map_under_function_transforms():
    u, phi = drawn(affine)
    slope = torch.func.vmap(torch.func.grad(lambda u, phi: affine.to_latent(u, phi)[0]))(u.flatten(), phi.flatten(1).T)
    torch.testing.assert_close(slope, log_scale(phi[0]).exp().flatten())


def test_a_slope_that_is_derived_again_where_the_parameters_depend_on_the_value():
    """As in a masked autoregressive map: the gradient with and without a graph of its own is the same."""
    u, phi = drawn(affine)
    u.requires_grad_()
    z, ladj = affine.to_latent(u, phi * u.sin())
    once = torch.autograd.grad(z.cos().sum() + ladj.sum(), u, retain_graph=True)[0]
    again = torch.autograd.grad(z.cos().sum() + ladj.sum(), u, create_graph=True)[0]
    torch.testing.assert_close(again, once)
