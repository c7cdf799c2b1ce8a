"""The radial map: closed forms both ways, space swells or shrinks around a point."""

import pytest
import torch

from fairway.models.flow.transforms.radial import Radial


def redrawn(dims=3, context=0, scale=0.3, dtype=torch.float64):
    transform = Radial(dims, context).to(dtype)
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


def test_the_determinant_is_the_papers():
    transform, z = redrawn(4, scale=2.0), torch.randn(5, 4, dtype=torch.float64)
    z0, alpha, beta = transform._maps(None)
    r = (z - z0).norm(dim=1)
    h, slope = 1 / (alpha + r), -1 / (alpha + r).square()
    expected = 3 * (1 + beta * h).abs().log() + (1 + beta * h + beta * slope * r).abs().log()
    torch.testing.assert_close(transform.to_data(z)[1], expected)


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
        z0, alpha, beta = transform._maps(None)
        for x in (torch.randn(50, 6, dtype=dtype), torch.full((2, 6), 1e4, dtype=dtype), z0):
            for direction in (transform.to_latent, transform.to_data):
                assert all(out.isfinite().all() for out in direction(x))
        assert (alpha > 0).all() and (beta > -alpha).all()


def test_the_centre_stays_and_space_around_it_shrinks_or_swells():
    transform = Radial(2).double().requires_grad_(False)
    z0 = transform.parameters_of.start[:2].unsqueeze(0)
    ring = z0 + 0.5 * torch.nn.functional.normalize(torch.randn(9, 2, dtype=torch.float64))
    for m, sign in ((-3.0, -1), (3.0, 1)):
        transform.parameters_of.start[3] = m
        assert torch.equal(transform.to_data(z0)[0], z0) and torch.equal(transform.to_latent(z0)[0], z0)
        radii = (transform.to_data(ring)[0] - z0).norm(dim=1)
        assert (sign * (radii - 0.5) > 0.05).all()
        torch.testing.assert_close(radii, radii[:1].expand(9))


def test_the_gradient_at_the_centre_is_finite():
    transform = redrawn(3).requires_grad_(True)
    z0 = transform.parameters_of.start[:3].detach().unsqueeze(0).requires_grad_()
    for direction in (transform.to_latent, transform.to_data):
        x, ladj = direction(z0)
        assert torch.autograd.grad(x.sum() + ladj.sum(), z0)[0].isfinite().all()


def test_the_context_moves_the_map_row_by_row():
    transform, z = redrawn(3, context=2), torch.randn(5, 3, dtype=torch.float64)
    context = torch.randn(5, 2, dtype=torch.float64)
    u, _ = transform.to_data(z, context)
    torch.testing.assert_close(transform.to_latent(u, context)[0], z, atol=1e-9, rtol=0)
    assert (transform.to_data(z, context.flip(0))[0] - u).abs().max() > 0.01
