"""MintNet's layer: triangular, increasing, inverted by a fixed point or, for certain, entry by entry."""

import pytest
import torch

from fairway.core.random import seeded
from fairway.models.flow.transforms import mint
from fairway.models.flow.transforms.mint import Mint
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw

SHAPES = [(2,), (6,), (2, 3, 4)]


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(shape, context_dims=0, reverse=False, spread=0.3):
    with seeded(0):
        layer = Mint(shape, (3, 4), context_dims, reverse).double()
    if spread:
        redraw(layer, spread=spread)
    return layer


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_jacobian_is_triangular_with_a_positive_diagonal(shape, reverse):
    layer, size = built(shape, reverse=reverse), torch.Size(shape).numel()
    point = normal(*shape)
    matrix = torch.autograd.functional.jacobian(lambda r: layer.to_latent(r.unsqueeze(0))[0][0], point)
    order = torch.arange(size).reshape(shape)
    order = order.movedim(0, -1).flatten()  # by position, then channel
    matrix = matrix.reshape(size, size)[order][:, order]
    after = matrix.tril(-1) if reverse else matrix.triu(1)
    assert float(after.abs().max()) == 0 and float(matrix.diagonal().min()) > 0
    assert float((matrix.triu(1) if reverse else matrix.tril(-1)).abs().max()) > 1e-3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spread", [0.0, 0.3])
def test_both_directions_agree_ten_sigma_out_and_know_their_log_determinant(shape, spread):
    layer, context = built(shape, 2, spread=spread), normal(8, 2, seed=1)
    u = normal(8, *shape) * torch.tensor([1.0, 10.0]).repeat(4).reshape(8, *[1] * len(shape))
    with torch.no_grad():
        z, ladj = layer.to_latent(u, context)
        again, back = layer.to_data(z, context)
    torch.testing.assert_close(again, u, rtol=0, atol=1e-9)
    torch.testing.assert_close(back, -ladj, rtol=0, atol=1e-8)
    expected = log_abs_det(lambda v: layer.to_latent(v, context)[0].flatten(1), u)
    torch.testing.assert_close(ladj, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_entry_by_entry_is_right_after_as_many_sweeps_as_entries(shape, monkeypatch):
    layer, u = built(shape, spread=1.0).requires_grad_(False), 3 * normal(5, *shape)
    z, _ = layer.to_latent(u)
    monkeypatch.setattr(mint, "damped", lambda look, start: (start, torch.zeros(len(start), dtype=torch.bool)))
    torch.testing.assert_close(layer.to_data(z)[0], u, rtol=0, atol=1e-9)


def test_a_sweep_settles_the_first_entry_at_once():
    layer, u = built((5,), spread=1.0).requires_grad_(False), normal(4, 5)
    z, _ = layer.to_latent(u)
    swept = layer._sweep(torch.zeros_like(z), z, layer._given(None, z))
    torch.testing.assert_close(swept[:, 0], u[:, 0], rtol=0, atol=1e-11)


def test_rows_that_the_fixed_point_gives_up_are_found_all_the_same():
    """A steep layer: damped steps alone leave rows behind."""
    layer, u = built((6,), spread=2.0).requires_grad_(False), normal(200, 6)
    z, _ = layer.to_latent(u)
    given = layer._given(None, z)
    _, done = mint.damped(lambda u: layer._look(u, z, given), z / given.scale)
    assert 0 < int(done.sum()) < 200
    assert float((layer.to_latent(layer.to_data(z)[0])[0] - z).abs().max()) < 1e-10


def test_rows_do_not_see_one_another():
    layer, u = built((6,), spread=1.0).requires_grad_(False), normal(20, 6)
    z, _ = layer.to_latent(u)
    torch.testing.assert_close(layer.to_data(z[7:9])[0], layer.to_data(z)[0][7:9], rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2)])
def test_gradients_through_to_data_match_differences(shape):
    layer, z, goal, context = built(shape, 2), normal(4, *shape), normal(4, *shape, seed=2), normal(4, 2, seed=1)

    def value(z, context):
        u, ladj = layer.to_data(z, context)
        return (u * goal).sum() + ladj.sum()

    inputs = (z.clone().requires_grad_(), context.clone().requires_grad_())
    parameters = [layer.maps[0].weight, layer.maps[1].raw_diagonal, layer.raw_scale]
    slopes = torch.autograd.grad(value(*inputs), (*inputs, *parameters))
    step = 1e-5
    with torch.no_grad():
        for slope, tensor in zip(slopes, [z, context, *parameters], strict=True):
            way, start, ends = normal(*tensor.shape, seed=5), tensor.clone(), []
            for sign in (1, -1):
                tensor.copy_(start + sign * step * way)
                ends.append(value(z, context))
            tensor.copy_(start)
            torch.testing.assert_close((slope * way).sum(), (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wild_weights_and_far_inputs_stay_finite(dtype):
    layer = built((4,), spread=100.0).to(dtype).requires_grad_(False)
    for size in (1.0, 1e4):
        u = size * normal(8, 4).to(dtype)
        z, ladj = layer.to_latent(u)
        again, back = layer.to_data(z)
        assert all(bool(a.isfinite().all()) for a in (z, ladj, again, back))


def test_bad_numbers_of_hidden_units_are_refused():
    with pytest.raises(ValueError, match="two numbers of hidden units"):
        Mint((3,), (4,))
