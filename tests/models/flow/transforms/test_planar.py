"""The planar map: a rank-one determinant, and an inverse that is one increasing equation per row."""

import pytest
import torch

from fairway.models.flow.transforms.planar import Planar, ridge_root

C = [-0.999, -0.9, -0.5, 0.0, 1.0, 10.0, 50.0, 1e4]


def redrawn(dims=3, context=0, scale=0.3, dtype=torch.float64):
    transform = Planar(dims, context).to(dtype)
    for parameter in transform.parameters():
        parameter.data.normal_(0, scale)
    return transform.requires_grad_(False)


@pytest.mark.parametrize("scale", [0.3, 3.0])
@pytest.mark.parametrize("dims", [1, 2, 5])
@pytest.mark.parametrize("direction", ["to_latent", "to_data"])
def test_ladj_is_the_log_determinant(dims, direction, scale):
    function, rows = getattr(redrawn(dims, scale=scale), direction), torch.randn(6, dims, dtype=torch.float64)
    for row, value in zip(rows, function(rows)[1], strict=True):
        matrix = torch.autograd.functional.jacobian(lambda r: function(r.unsqueeze(0))[0][0], row)
        torch.testing.assert_close(torch.linalg.slogdet(matrix)[1], value, atol=1e-8, rtol=1e-8)


def test_the_determinant_is_that_of_a_rank_one_update():
    transform, z = redrawn(4, scale=2.0), torch.randn(1, 4, dtype=torch.float64)
    v, w, b, _ = transform._maps(None)
    psi = (1 - torch.tanh((w * z).sum(1) + b).square()) * w[0]
    expected = (1 + v[0] @ psi).abs().log()
    torch.testing.assert_close(transform.to_data(z)[1][0], expected)


@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("dims", [1, 2, 63])
def test_to_data_undoes_to_latent_near_and_far_out(dims, scale):
    transform, unit = redrawn(dims, scale=scale), torch.randn(50, dims, dtype=torch.float64)
    u = torch.cat([unit, 10 * unit, 1e4 * unit])
    z, ladj = transform.to_latent(u)
    again, back = transform.to_data(z)
    torch.testing.assert_close(again, u, atol=1e-9, rtol=1e-12)
    torch.testing.assert_close(ladj + back, torch.zeros_like(ladj), atol=1e-9, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_parameters_are_invertible_and_finite(dtype):
    for scale in (1.0, 100.0):
        transform = redrawn(6, scale=scale, dtype=dtype)
        _, _, _, c = transform._maps(None)
        for x in (
            torch.randn(50, 6, dtype=dtype),
            torch.full((2, 6), 1e4, dtype=dtype),
            torch.zeros(2, 6, dtype=dtype),
        ):
            for direction in (transform.to_latent, transform.to_data):
                assert all(out.isfinite().all() for out in direction(x))
        assert (c > -1).all()


def test_a_direction_that_would_fold_space_is_moved_until_it_does_not():
    transform = Planar(2).double().requires_grad_(False)
    transform.parameters_of.start.copy_(torch.tensor([-9.0, 1.0, 1.0, 0.0, 0.0]))
    v, w, _, c = transform._maps(None)
    assert float((v * w).sum()) == pytest.approx(float(c)) and -1 < float(c) < -0.99
    assert float(v[0, 1]) == 1.0  # moved along w alone


def test_as_built_it_is_nearly_the_identity_and_without_a_ridge_exactly_a_shift():
    transform, z = Planar(4).double(), torch.randn(20, 4, dtype=torch.float64)
    assert (transform.to_data(z)[0] - z).abs().max() < 0.1
    torch.nn.init.zeros_(transform.parameters_of.start)
    assert torch.equal(transform.to_data(z)[0], z)


@pytest.mark.parametrize("c", C)
def test_the_root_solves_its_equation(c):
    s = torch.cat([torch.linspace(-60, 60, 20_001), torch.tensor([1e4, -1e8, 1e-9, 0.0])]).double()
    a = ridge_root(s, torch.tensor(c, dtype=torch.float64))
    assert ((a + c * torch.tanh(a) - s).abs() <= 1e-12 * (1 + s.abs() + abs(c))).all()


def test_the_root_carries_first_and_second_derivatives():
    s = torch.tensor([-3.0, -0.4, 0.0, 0.2, 1.7], dtype=torch.float64, requires_grad=True)
    c = torch.tensor([-0.8, 3.0, 0.5, -0.5, 20.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ridge_root, (s, c), atol=1e-7)
    assert torch.autograd.gradgradcheck(ridge_root, (s, c), atol=1e-6)


def test_a_row_does_not_see_its_neighbours():
    s, c = torch.randn(100, dtype=torch.float64) * 5, torch.rand(100, dtype=torch.float64) * 8 - 0.99
    apart = torch.cat([ridge_root(a, b) for a, b in zip(s.split(1), c.split(1), strict=True)])
    torch.testing.assert_close(ridge_root(s, c), apart, atol=1e-14, rtol=1e-14)


def test_the_context_moves_the_map_row_by_row():
    transform, z = redrawn(3, context=2), torch.randn(5, 3, dtype=torch.float64)
    context = torch.randn(5, 2, dtype=torch.float64)
    u, _ = transform.to_data(z, context)
    torch.testing.assert_close(transform.to_latent(u, context)[0], z, atol=1e-9, rtol=0)
    assert (transform.to_data(z, context.flip(0))[0] - u).abs().max() > 0.01
