"""A matrix by its PLU factors is what its factors say, never singular, and a rotation at the start."""

import pytest
import torch

from fairway.models.flow.transforms.linear import PLU, Linear
from fairway.testing.subject import redraw


@pytest.mark.parametrize("dims", [1, 2, 7])
def test_the_start_is_a_rotation_and_the_identity_without_a_seed(dims):
    eye = torch.eye(dims, dtype=torch.float64)
    weight = PLU(dims, seed=3).double().weight()
    torch.testing.assert_close(weight @ weight.T, eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(PLU(dims).double().weight(), eye, atol=0, rtol=0)
    assert dims == 1 or not torch.equal(PLU(dims, seed=3).weight(), PLU(dims, seed=4).weight())


@pytest.mark.parametrize("spread", [0.3, 100.0])
def test_determinant_and_inverse_are_the_matrixs(spread):
    link = Linear(5, seed=1).double()
    redraw(link, spread=spread)
    u = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z, ladj = link.to_latent(u)
    expected = torch.linalg.slogdet(link.matrix.weight()).logabsdet if spread < 1 else link.matrix.log_scale.sum()
    torch.testing.assert_close(ladj, expected.expand(4))
    torch.testing.assert_close(z, u @ link.matrix.weight().T + link.bias)
    if spread < 1:
        again, back = link.to_data(z)
        torch.testing.assert_close(again, u)
        torch.testing.assert_close(back, -ladj)
    assert link.to_data(z)[0].isfinite().all()
