"""Sliced Wasserstein against closed forms and scipy."""

import pytest
import torch
from scipy.stats import wasserstein_distance

from fairway.core.event import Event
from fairway.metrics.divergence import (
    sample_distance,
    sliced_wasserstein,
    wasserstein_on_lines,
)


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("n", "m"), [(50, 50), (50, 73), (7, 64)])
def test_on_the_line_it_is_scipys_at_any_sizes(n, m):
    x, y = noise(0, n, 1), noise(1, m, 1) * 2 + 1
    expected = wasserstein_distance(x.flatten(), y.flatten())
    assert sliced_wasserstein(x, y, order=1) == pytest.approx(expected, rel=1e-9)


def test_repeating_every_row_changes_nothing():
    x, y = noise(0, 20, 4), noise(1, 30, 4)
    twice = sliced_wasserstein(x.repeat(3, 1), y)
    assert twice == pytest.approx(sliced_wasserstein(x, y), rel=1e-9)


def test_a_shift_has_its_mean_projection():
    x, shift = noise(0, 100, 16), 3.0
    y = x.clone()
    y[:, 0] += shift
    # E[(theta . shift)^2] = |shift|^2 / D on the sphere
    assert sliced_wasserstein(x, y, directions=4096) == pytest.approx(shift / 4, rel=0.05)


def test_it_is_a_distance():
    x, y, z = noise(0, 40, 3), noise(1, 50, 3) + 1, noise(2, 60, 3) * 2
    assert sliced_wasserstein(x, x[torch.randperm(40)]) == pytest.approx(0, abs=1e-12)
    assert sliced_wasserstein(x, y) == pytest.approx(sliced_wasserstein(y, x))
    assert sliced_wasserstein(x, z) <= sliced_wasserstein(x, y) + sliced_wasserstein(y, z)


def test_two_orders_on_lines():
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [5.0]])
    assert wasserstein_on_lines(x, y, 1).item() == pytest.approx(3.5)
    assert wasserstein_on_lines(x, y, 2).item() == pytest.approx((9 + 16) / 2)


def test_model_samples_are_near_their_own_law_and_far_from_another(normal):
    model = normal(Event((3,))).eval()
    rows = torch.randn(400, 3, generator=torch.Generator().manual_seed(1))
    near, far = sample_distance(model, rows, generator=0), sample_distance(model, rows + 3, generator=0)
    assert near < 0.2 and far == pytest.approx(3, rel=0.1)


def test_what_has_no_distance_is_refused():
    with pytest.raises(ValueError, match="as many entries"):
        sliced_wasserstein(torch.ones(2, 3), torch.ones(2, 4))
    with pytest.raises(ValueError, match="finite values in y"):
        sliced_wasserstein(torch.ones(2, 3), torch.full((2, 3), float("nan")))
    with pytest.raises(ValueError, match="order 1 or 2"):
        sliced_wasserstein(torch.ones(2, 3), torch.ones(2, 3), order=3)
