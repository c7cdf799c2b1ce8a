"""Residual transforms: inverted by a fixed point, exact or estimated log-determinant, gradients both ways."""

import pytest
import torch

from fairway.core.random import Rows, seeded
from fairway.models.flow.transforms.residual import Residual
from fairway.networks.lipschitz import LipschitzNetwork
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(shape, exact=True, context_dims=0, spread=0.3):
    with seeded(0):
        link = Residual(LipschitzNetwork(shape, (8,), context_dims, 0.95), exact).double().eval()
    redraw(link, spread=spread)
    return link


@pytest.mark.parametrize("shape", [(2,), (5,), (2, 2, 3)])
def test_both_directions_agree_and_know_their_log_determinant(shape):
    link, u = built(shape, context_dims=2), 10 * normal(6, *shape)
    context = normal(6, 2, seed=1)
    with torch.no_grad():
        z, ladj = link.to_latent(u, context)
        again, back = link.to_data(z, context)
    torch.testing.assert_close(again, u, rtol=0, atol=1e-9)
    torch.testing.assert_close(back, -ladj, rtol=0, atol=1e-9)
    torch.testing.assert_close(z, link.latent_of(u, context).detach())
    expected = log_abs_det(lambda v: link.to_latent(v, context)[0].flatten(1), u)
    torch.testing.assert_close(ladj, expected, rtol=0, atol=1e-8)


def test_the_estimate_is_within_three_standard_errors_value_and_gradient():
    n, exact, series = 20_000, built((4,), context_dims=1), built((4,), exact=False, context_dims=1)
    u, context = normal(1, 4), normal(1, 1)
    point = u.clone().requires_grad_()
    ladj = exact.to_latent(point, context)[1]
    (slope,) = torch.autograd.grad(ladj, point)
    many = u.expand(n, 4).clone().requires_grad_()
    rows = Rows(0, n, dtype=torch.float64)
    estimate = series.to_latent_unbiased(many, context.expand(n, 1), rows)[1]
    (slopes,) = torch.autograd.grad(estimate.sum(), many)
    for found, wanted in ((estimate.detach(), ladj.detach()[0]), (slopes, slope[0])):
        assert bool(((found.mean(0) - wanted).abs() < 3 * found.std(0) / n**0.5).all())


def test_the_parameters_get_the_gradient_of_the_estimate_within_three_standard_errors():
    exact, series = built((4,)), built((4,), exact=False)
    n, u = 64, normal(1, 4)
    exact.to_latent(u)[1].sum().backward()
    draws = []
    for seed in range(150):
        series.zero_grad()
        series.to_latent_unbiased(u.expand(n, 4), None, Rows(seed, n, dtype=torch.float64))[1].mean().backward()
        draws.append(series.branch.maps[1].weight.grad.clone())
    found, wanted = torch.stack(draws), exact.branch.maps[1].weight.grad
    error = (found.mean(0) - wanted).abs() / (found.std(0) / len(draws) ** 0.5)
    assert float(error.square().mean().sqrt()) < 1.5 and float(error.max()) < 4.5  # of 64 entries


def test_the_rows_of_an_estimate_come_back_in_their_order():
    series, u = built((4,), exact=False), normal(9, 4)
    z, _ = series.to_latent_unbiased(u, None, Rows(0, 9, dtype=torch.float64))
    torch.testing.assert_close(z, series.latent_of(u))


@pytest.mark.parametrize("exact", [True, False])
def test_gradients_through_to_data_match_differences(exact):
    link, z, goal = built((3,), exact, context_dims=2), normal(4, 3), normal(4, 3, seed=2)
    context = normal(4, 2, seed=1)

    def value(z, context):
        u, ladj = link.to_data(z, context)
        return (u * goal).sum() + ladj.sum()

    inputs = (z.clone().requires_grad_(), context.clone().requires_grad_())
    parameter = link.branch.maps[1].weight
    slopes = torch.autograd.grad(value(*inputs), (*inputs, parameter))
    step = 1e-5
    with torch.no_grad():
        for i, given in enumerate((z, context)):
            way = normal(*given.shape, seed=5)
            moved = [[x + sign * step * way if j == i else x for j, x in enumerate((z, context))] for sign in (1, -1)]
            difference = (value(*moved[0]) - value(*moved[1])) / (2 * step)
            torch.testing.assert_close((slopes[i] * way).sum(), difference, rtol=1e-5, atol=1e-6)
        way, start = normal(*parameter.shape, seed=6), parameter.clone()
        ends = []
        for sign in (1, -1):
            parameter.copy_(start + sign * step * way)
            ends.append(value(z, context))
        parameter.copy_(start)
    torch.testing.assert_close((slopes[2] * way).sum(), (ends[0] - ends[1]) / (2 * step), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wild_weights_and_far_inputs_stay_finite(dtype):
    link = built((3,), spread=100.0).to(dtype)
    u = 1e4 * normal(8, 3).to(dtype)
    with torch.no_grad():
        z, ladj = link.to_latent(u)
        again, _ = link.to_data(z)
    assert bool(z.isfinite().all()) and bool(ladj.isfinite().all())
    assert float((again - u).abs().max()) < (0.1 if dtype == torch.float32 else 1e-7)
