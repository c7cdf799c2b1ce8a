"""Balls by hand, balls in blocks, and what each share sees."""

import pytest
import torch

from fairway.metrics.features import density_coverage, precision_recall
from fairway.metrics.features.neighbours import balls_around, nearest, radii, squared_distances


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_squared_distances_are_euclidean_and_zero_between_equal_rows():
    x, y = normal(30, 5) + 100, normal(20, 5, seed=1) + 100
    torch.testing.assert_close(squared_distances(x, y), (x[:, None] - y).square().sum(2))
    assert bool((squared_distances(x, x).diagonal() == 0).all())


def test_neighbours_in_blocks_are_neighbours():
    x = normal(1100, 2)
    apart, index = nearest(x, x, 3, without_self=True)
    full = (x[:, None] - x).norm(dim=2).fill_diagonal_(torch.inf).sort(1)
    torch.testing.assert_close(apart, full.values[:, :3])
    assert torch.equal(index, full.indices[:, :3]) and torch.equal(radii(x, 3), apart[:, 2])
    with pytest.raises(ValueError, match="1 to 4 neighbours, got 5"):
        nearest(x[:5], x[:5], 5, without_self=True)


def test_balls_by_hand():
    data = torch.tensor([[0.0], [1.0], [10.0]])  # radii to the nearest other: 1, 1, 9
    rows, balls = balls_around(torch.tensor([[0.5], [1.9], [30.0]]), data, 1)
    assert rows.tolist() == [2, 2, 0] and balls.tolist() == [1, 2, 1]
    found = density_coverage(torch.tensor([[0.5], [1.9], [30.0]]), data, k=1)
    assert found["density"].value == pytest.approx(4 / 3) and found["coverage"].value == 1
    found = precision_recall(torch.tensor([[0.5], [1.9], [30.0]]), data, k=1)
    assert found["precision"].value == pytest.approx(2 / 3) and found["recall"].value == 1


def test_fresh_data_are_covered_up_to_two_to_the_minus_k():
    found = density_coverage(normal(3000, 4), normal(3000, 4, seed=1), k=5)
    assert found["coverage"].value == pytest.approx(1 - 2**-5, abs=4 * found["coverage"].standard_error)
    assert found["density"].value == pytest.approx(1, abs=0.05)


def test_dropped_modes_lower_recall_and_coverage_not_precision():
    def modes(count, seed):
        return normal(600, 2, seed=seed) + 20 * torch.eye(6, dtype=torch.float64)[torch.arange(600) % count][:, :2]

    data, few = modes(3, 0), modes(1, 1)
    found = precision_recall(few, data) | density_coverage(few, data)
    assert found["precision"].value > 0.95 and found["density"].value > 0.8
    assert found["recall"].value < 0.4 and found["coverage"].value < 0.4


def test_blur_lowers_precision_and_density_where_recall_rises():
    data, fresh = normal(1000, 8), normal(1000, 8, seed=1)
    blurred = fresh + 1.5 * normal(1000, 8, seed=2)
    at, was = (precision_recall(x, data) | density_coverage(x, data) for x in (blurred, fresh))
    assert at["precision"].value < 0.5 * was["precision"].value and at["density"].value < 0.3 * was["density"].value
    assert at["recall"].value > was["recall"].value  # balls around noise are large: recall is fooled, coverage is not
    assert at["coverage"].value < 0.6 * was["coverage"].value


def test_memorised_rows_look_perfect_to_all_four():
    data = normal(500, 3)
    found = precision_recall(data, data) | density_coverage(data, data)
    assert all(found[name].value == 1 for name in ("precision", "recall", "coverage")) and found["density"].value > 1


def test_equal_rows_lie_in_balls_of_radius_zero():
    same = torch.ones(20, 3) * 1e6
    assert density_coverage(same, same)["coverage"].value == 1
