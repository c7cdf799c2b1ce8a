"""The masked autoregressive map: triangular, inverted at the cost of a pass, with the gradient of the inverse."""

import pytest
import torch

from fairway.models.flow.transforms.autoregressive import Autoregressive
from fairway.models.flow.transforms.rational_quadratic import rational_quadratic
from fairway.models.flow.transforms.univariate import affine
from fairway.networks.masked import MaskedMLP
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw

MAPS = {"affine": affine, "spline": rational_quadratic(4, 3.0)}
NETWORKS = {
    "plain": {"hidden": (9, 7)},
    "residual": {"hidden": (9, 9), "residual": True, "order": [2, 0, 3, 1]},
    "direct": {"hidden": (5,), "direct": True, "order": [3, 2, 1, 0]},
}


def link(univariate, network, context=0):
    masked = MaskedMLP(4, MAPS[univariate].parameters, context=context, **NETWORKS[network])
    built = Autoregressive(MAPS[univariate], masked).double().eval()
    redraw(built)
    return built


def rows(n, dims, seed, scale=1.0):
    return scale * torch.randn(n, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("univariate", MAPS)
def test_both_directions_agree_and_know_their_determinant(univariate, network, context):
    t, u, c = link(univariate, network, context), rows(6, 4, 0, 3.0), rows(6, context, 1) if context else None
    z, ladj = t.to_latent(u, c)
    torch.testing.assert_close(ladj, log_abs_det(lambda v: t.to_latent(v, c)[0], u), rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        again, back = t.to_data(z, c)
    torch.testing.assert_close(again, u, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(back, -ladj, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("univariate", MAPS)
def test_the_slow_direction_carries_the_gradient(univariate, network):
    """Against the parallel direction: u(z) composed with z(u) is the identity, so its Jacobian is an inverse."""
    t, c = link(univariate, network, 2), rows(5, 2, 1).requires_grad_()
    z = rows(5, 4, 0).requires_grad_()
    weight, share = rows(5, 4, 2), rows(1, 5, 3)[0]

    def loss(z, c):
        u, ladj = t.to_data(z, c)
        return (weight * u).sum() + (share * ladj).sum()

    parameters = [p for p in t.parameters() if p.requires_grad]
    got = torch.autograd.grad(loss(z, c), [z, c, *parameters])
    step = 1e-6
    for value, slope in zip([z, c, *parameters], got, strict=True):
        along = torch.randn(value.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
        with torch.no_grad():
            value += step * along
            up = loss(z, c)
            value -= 2 * step * along
            down = loss(z, c)
            value += step * along
        torch.testing.assert_close((slope * along).sum(), (up - down) / (2 * step), rtol=1e-5, atol=1e-6)


def test_far_out_it_is_what_it_is_at_the_rim():
    t, u = link("affine", "plain"), rows(4, 4, 0, 1e4)
    z, _ = t.to_latent(u)
    torch.testing.assert_close(t.to_data(z.detach())[0], u, rtol=1e-9, atol=1e-9)
    again = t.to_data(z.detach().requires_grad_())[0]
    assert torch.autograd.grad(again.sum(), t.parameters())[0].isfinite().all()


def test_wild_parameters_give_numbers():
    for univariate in MAPS:
        t = link(univariate, "plain").float()
        redraw(t, spread=100.0)
        u = rows(50, 4, 0, 1e4).float()
        with torch.no_grad():
            for value in (*t.to_latent(u), *t.to_data(u)):
                assert value.isfinite().all()


def test_a_network_of_other_outputs_is_refused():
    with pytest.raises(ValueError, match="2 outputs"):
        Autoregressive(affine, MaskedMLP(4, 3))


def test_a_random_network_cannot_carry_the_gradient():
    t = Autoregressive(affine, MaskedMLP(3, 2, dropout=0.5)).train()
    with pytest.raises(ValueError, match="dropout=0"):
        t.to_data(torch.zeros(2, 3))
