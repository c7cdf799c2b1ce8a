"""The neighbour estimate of KL against closed forms and its own spread; the bound never above what it bounds."""

import math

import pytest
import torch

from fairway.metrics.divergence.gaussian import gaussian, gaussian_kl
from fairway.metrics.divergence.neighbours import neighbour_bound, neighbour_kl, neighbours


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_neighbours_are_those_of_a_sorted_line():
    x = torch.tensor([[0.0], [1], [3], [7]])
    distance, often = neighbours(x, x, 1, own=True)
    assert distance.tolist() == [1, 1, 2, 4] and often.tolist() == [1, 2, 1, 0]
    distance, often = neighbours(x, torch.tensor([[0.5], [10.0]]), 2)
    assert distance.tolist() == [10, 9, 7, 6.5] and often.tolist() == [4, 4]


def test_it_is_the_formula_of_the_paper():
    x, y, k = noise(0, 30, 2), noise(1, 40, 2) + 0.3, 3
    rho = torch.cdist(x, x).sort(1).values[:, k]
    nu = torch.cdist(x, y).sort(1).values[:, k - 1]
    expected = 2 / 30 * float((nu / rho).log().sum()) + math.log(40 / 29)
    assert neighbour_kl(x, y, k=k).value == pytest.approx(expected, rel=1e-9)


def test_both_directions_are_near_the_closed_form_on_the_plane():
    x, y = noise(0, 2000, 2), noise(1, 3000, 2) * 1.2 + 0.5
    p, q = gaussian([0, 0], [1, 1]), gaussian([0.5, 0.5], [1.44, 1.44])
    for found, expected in [(neighbour_kl(x, y), gaussian_kl(p, q)), (neighbour_kl(y, x), gaussian_kl(q, p))]:
        assert abs(found.value - expected.value) < max(3 * found.standard_error, 0.1 * expected.value)


@pytest.mark.parametrize(("dims", "shift"), [(1, 0.5), (2, 0.0), (6, 1.0)])
def test_the_standard_error_is_the_spread_over_repeats(dims, shift):
    found = [neighbour_kl(noise(2 * i, 150, dims), noise(2 * i + 1, 100, dims) + shift) for i in range(120)]
    spread = float(torch.tensor([e.value for e in found]).std())
    assert sum(e.standard_error for e in found) / 120 == pytest.approx(spread, rel=0.25)


def test_units_do_not_matter():
    x, y = noise(0, 100, 3), noise(1, 100, 3) + 1
    assert neighbour_kl(1e3 * x, 1e3 * y).value == pytest.approx(neighbour_kl(x, y).value, rel=1e-9)


def test_the_bound_stays_below_and_comes_near():
    x, y = noise(0, 4000, 2), noise(1, 4000, 2)
    y[:, 0] += 1.0
    exact = math.erf(0.5 / math.sqrt(2))  # total variation of normals 1 apart: 2 Phi(1/2) - 1
    found = neighbour_bound(x, y, "total_variation")
    assert found.relation == "lower" and 0.8 * exact < found.value < exact + 2 * found.standard_error
    same = neighbour_bound(x, noise(2, 4000, 2))
    assert same.value < 3 * same.standard_error
    far = neighbour_bound(x, y + 50)
    assert 0.9 * math.log(2) < far.value <= math.log(2)


def test_the_bound_repeats_with_its_seed_and_takes_other_sizes():
    x, y = noise(0, 400, 2), noise(1, 150, 2)
    assert neighbour_bound(x, y, generator=3) == neighbour_bound(x, y, generator=3)
    assert neighbour_bound(x, y, generator=3).value < 0.05


def test_what_has_no_neighbours_is_refused():
    with pytest.raises(ValueError, match="identical others"):
        neighbour_kl(torch.ones(20, 2), noise(0, 20, 2))
    with pytest.raises(ValueError, match="at least 6 rows"):
        neighbour_kl(noise(0, 5, 2), noise(0, 20, 2))
