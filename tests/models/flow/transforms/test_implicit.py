"""A solution found without a graph carries the gradient of what it solves; `networks.masked_adjoint` does the solve."""

import pytest
import torch

from fairway.models.flow.transforms.implicit import attached, wants_gradient


def test_the_gradient_of_a_root_is_that_of_its_closed_form():
    """u = exp(z) / a solves log(a u) = z."""
    a, z = torch.tensor([2.0, 3.0], requires_grad=True), torch.tensor([0.5, -0.2], requires_grad=True)
    u = (z.exp() / a).detach()
    x = attached(u, z - (a * u).log(), lambda g: g * u)
    assert torch.equal(x, u)
    got = torch.autograd.grad((x * torch.tensor([1.0, 4.0])).sum(), (a, z))
    expected = torch.autograd.grad((z.exp() / a * torch.tensor([1.0, 4.0])).sum(), (a, z))
    torch.testing.assert_close(got, expected)


def test_a_second_derivative_is_refused():
    z = torch.tensor(2.0, requires_grad=True)
    (slope,) = torch.autograd.grad(attached(z.detach(), z - 2.0, lambda g: g), z, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        slope.backward()


def test_who_wants_a_gradient():
    layer, x = torch.nn.Linear(1, 1), torch.zeros(1, requires_grad=True)
    assert wants_gradient(layer) and wants_gradient(layer.requires_grad_(False), x, None)
    assert not wants_gradient(layer, x.detach())
    with torch.no_grad():
        assert not wants_gradient(layer, x)
