"""Weighted sets on the line against scipy and the quantiles of known laws."""

import pytest
import torch
from scipy.stats import norm, wasserstein_distance

from fairway.metrics.divergence.line import wasserstein_on_line


def draws(seed, n):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(n, generator=generator, dtype=torch.float64)
    return torch.randn(n, generator=generator, dtype=torch.float64), weights / weights.sum()


@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 64), (500, 333)])
def test_it_is_scipys_at_any_sizes_and_weights(n, m):
    (x, p), (y, q) = draws(0, n), draws(1, m)
    found = wasserstein_on_line(x, y, p=p, q=q)
    assert found.value == pytest.approx(wasserstein_distance(x, y, p, q), rel=1e-10) and found.method == "exact"
    assert wasserstein_on_line(x, y).value == pytest.approx(wasserstein_distance(x, y), rel=1e-10)


def test_grids_of_two_normals_are_apart_by_their_shift_and_scale():
    grid = (torch.arange(4000).double() + 0.5) / 4000
    x, y = torch.from_numpy(norm(0, 1).ppf(grid)), torch.from_numpy(norm(3, 2).ppf(grid))
    assert wasserstein_on_line(x, y, order=2).value == pytest.approx((9 + 1) ** 0.5, rel=1e-3)


def test_weights_of_zero_and_repeated_values_change_nothing():
    x, p = torch.tensor([0.0, 0.0, 5.0]), torch.tensor([0.5, 0.5, 0.0])
    assert wasserstein_on_line(x, [0.0], p=p).value == 0
    assert wasserstein_on_line([0.0], [-0.3]).value == 0.3


def test_what_is_not_on_the_line_is_refused():
    with pytest.raises(ValueError, match="one number per row"):
        wasserstein_on_line(torch.ones(3, 2), torch.ones(3, 2))
    with pytest.raises(ValueError, match="one weight per row"):
        wasserstein_on_line([0.0, 1.0], [0.0], p=[1.0])
    with pytest.raises(ValueError, match="order of at least 1"):
        wasserstein_on_line([0.0], [0.0], order=0.5)
