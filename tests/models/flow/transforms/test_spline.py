"""The rational-quadratic spline: increasing, through its knots, the identity outside, and never out of its range."""

import pytest
import torch

from fairway.models.flow.transforms.spline import LEAST_SIZE, LEAST_SLOPE, Spline, _slope


def phi(bins, n, spread, seed=0, dtype=torch.float64):
    return (spread * torch.randn(3 * bins - 1, n, generator=torch.Generator().manual_seed(seed))).to(dtype)


def values(n, scale=3.0, seed=1):
    return scale * torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_raw_zero_is_the_identity():
    u = values(200)
    z, ladj, _ = Spline(8, 5.0).to_latent(u, phi(8, 200, 0.0))
    torch.testing.assert_close(z, u)
    torch.testing.assert_close(ladj, torch.zeros(200, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("bins", [2, 5, 8])
def test_it_goes_through_its_knots_with_their_slopes(bins):
    spline, raw = Spline(bins, 4.0), phi(bins, 1, 1.0)
    sizes, slopes = spline.shares(raw) * spline.stretch + 8 * LEAST_SIZE, _slope(raw[2 * bins :])
    x, y = (sizes.cumsum(1) - 4.0)[:, :-1, 0]
    z, ladj, _ = spline.to_latent(x, raw.expand(-1, bins - 1))
    torch.testing.assert_close(z, y)
    torch.testing.assert_close(ladj.exp(), slopes[:, 0])
    assert float(sizes.min()) >= 8 * LEAST_SIZE and float(slopes.min()) >= LEAST_SLOPE
    torch.testing.assert_close(sizes.sum(1), torch.full((2, 1), 8.0, dtype=torch.float64))


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_it_increases_as_its_slope_says_and_comes_back(spread):
    spline, u = Spline(6, 3.0), values(500, 2.5).requires_grad_()
    raw = phi(6, 500, spread)
    z, ladj, _ = spline.to_latent(u, raw)
    (slope,) = torch.autograd.grad(z.sum(), u)
    torch.testing.assert_close(ladj.exp(), slope, rtol=1e-7, atol=1e-9)
    again, back, _ = spline.to_data(z.detach(), raw)
    torch.testing.assert_close(again, u.detach(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(back, -ladj.detach(), rtol=1e-7, atol=1e-7)


def test_outside_of_the_box_it_is_the_identity():
    u = torch.tensor([-1e4, -3.0, 3.0, 7.0], dtype=torch.float64)
    for way in (Spline(4, 3.0).to_latent, Spline(4, 3.0).to_data):
        out, ladj, _ = way(u, phi(4, 4, 2.0))
        assert torch.equal(out, u) and torch.equal(ladj, torch.zeros_like(u))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [5.0, 100.0, 1e4])
def test_wild_parameters_give_numbers_in_the_box(spread, dtype):
    spline, raw, u = Spline(8, 5.0), phi(8, 4000, spread, dtype=dtype), values(4000, 3.0).to(dtype)
    for way in (spline.to_latent, spline.to_data):
        out, ladj, _ = way(u, raw)
        assert bool(out.isfinite().all()) and bool(ladj.isfinite().all())
        inside = u.abs() < 5
        assert float(out[inside].abs().max()) < 5.01


@pytest.mark.parametrize("axis", [0, 1])
def test_the_sweep_finds_the_bins_that_the_index_finds(axis):
    spline, raw, value = Spline(7, 5.0), phi(7, 300, 1.5), values(300)
    index, sweep = spline._by_index(value, spline.shares(raw), raw[14:], axis), spline._by_sweep(value, raw, axis)
    for one, other in zip(index, sweep, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-11, atol=1e-12)
