"""J' v = g for the triangular Jacobian of an autoregressive map, against the dense matrix."""

import pytest
import torch

from fairway.networks.masked import MaskedMLP
from fairway.networks.masked_adjoint import solve_transposed
from fairway.testing.subject import redraw

D, B = 5, 3
NETWORKS = {
    "plain": {"hidden": (8, 6)},
    "deep": {"hidden": (7, 7, 7), "residual": True, "order": [3, 1, 4, 0, 2]},
    "direct": {"hidden": (6,), "direct": True, "order": [4, 3, 2, 1, 0]},
    "narrow": {"hidden": (2, 3)},
}


def draw(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_it_solves_with_the_transposed_jacobian(name, context):
    network = MaskedMLP(D, outputs=2, context=context, **NETWORKS[name]).double()
    redraw(network)
    u, g, c = draw(D, B, seed=0), draw(D, B, seed=1), draw(B, context, seed=2) if context else None

    def z(u):  # z = u e^a + t
        a, t = network.columns(u.sin(), c)
        return u * a.exp() + t

    with torch.no_grad():
        a, _ = network.columns(u.sin(), c)
    slopes = a.exp(), torch.stack([u * a.exp(), torch.ones_like(u)]), u.cos()
    v = solve_transposed(network, u.sin(), c, g, slopes)
    jacobian = torch.autograd.functional.jacobian(z, u)  # (D, B, D, B)
    back = torch.einsum("ib,ibjb->jb", v, jacobian)
    torch.testing.assert_close(back, g, rtol=1e-9, atol=1e-9)


def test_several_features_are_refused():
    with pytest.raises(ValueError, match="one feature"):
        solve_transposed(MaskedMLP(D, features=2), torch.zeros(D, B), None, torch.zeros(D, B), (torch.ones(D, B),) * 3)
