"""The spline as a map: its written-out gradients are those of automatic differentiation, to the second order."""

import pytest
import torch

from fairway.models.flow.transforms.rational_quadratic import rational_quadratic
from fairway.models.flow.transforms.spline import Spline


def draw(*shape, seed, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("spread", [0.3, 2.0])
@pytest.mark.parametrize("direction", ["to_latent", "to_data"])
def test_gradients_are_those_of_automatic_differentiation(direction, spread):
    u, phi = draw(3, 80, seed=0, scale=3.0).requires_grad_(), draw(14, 3, 80, seed=1, scale=spread).requires_grad_()
    a, c = draw(2, 3, 80, seed=2)

    def slopes(way):
        out, ladj = way(u, phi)[:2]
        return torch.autograd.grad((a * out + c * ladj).sum(), (u, phi))

    written, automatic = slopes(getattr(rational_quadratic(5), direction)), slopes(getattr(Spline(5, 5.0), direction))
    for one, other in zip(written, automatic, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("direction", ["to_latent", "to_data"])
def test_second_derivatives_are_right(direction):
    u, phi = draw(6, seed=3, scale=2.0).requires_grad_(), draw(8, 6, seed=4).requires_grad_()
    assert torch.autograd.gradgradcheck(getattr(rational_quadratic(3), direction), (u, phi), rtol=1e-4)


@pytest.mark.parametrize(("bins", "bound"), [(1, 5.0), (8, 0.0), (8, float("inf")), (1000, 5.0)])
def test_impossible_boxes_are_refused(bins, bound):
    with pytest.raises(ValueError, match="bins and a bound"):
        rational_quadratic(bins, bound)
