"""Nearest neighbours: uniform p-values, power on a shift, and the noise that its total does not see."""

import pytest
import torch

from fairway.metrics.two_sample.neighbours import neighbour_test


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_p_values_are_uniform_under_one_law(null_p_values, looks_uniform):
    # T takes few values, so its p-values are a little large: never too small is what counts
    found = null_p_values(neighbour_test, 300, permutations=99)
    assert looks_uniform(found, grid=0.08)
    assert all(float((found <= level).double().mean()) < level + 0.05 for level in (0.05, 0.1, 0.3))


def test_a_shift_is_found_and_a_neighbour_is_the_nearest_other_row():
    assert neighbour_test(normal(0, 300, 2), normal(1, 300, 2) + 1).p_value <= 0.005
    x, y = torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([[1.2], [8.5], [20.0]])
    found = neighbour_test(x, y, permutations=9)
    # neighbours: 0 -> 1, 1 -> 1.2, 9 -> 8.5 | 1.2 -> 1, 8.5 -> 9, 20 -> 9
    assert found.info == {"of_x": pytest.approx(1 / 3), "of_y": 0.0}
    assert found.statistic.value == pytest.approx(1 / 6)


def test_wide_noise_in_many_dimensions_hides_in_the_total_and_shows_in_the_halves():
    found = neighbour_test(normal(0, 400, 64), 3 * normal(1, 400, 64))
    assert found.statistic.value == pytest.approx(0.5, abs=0.02) and found.p_value > 0.05
    assert found.info["of_x"] > 0.95 and found.info["of_y"] < 0.05
