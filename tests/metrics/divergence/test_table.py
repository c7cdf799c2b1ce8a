"""Laws on points, and the parallel lines to the last bit."""

import math

import pytest
import torch

from fairway.metrics.divergence.generators import F_DIVERGENCES
from fairway.metrics.divergence.table import draw_line, on_common_points, parallel_lines, table, table_divergences
from fairway.metrics.divergence.transport import wasserstein


@pytest.mark.parametrize("theta", [1.0, -2.5, 0.1, 1e-9, 1 / 3])
def test_disjoint_lines_are_as_the_lecture_has_them(theta):
    found = parallel_lines(theta)
    assert found["total_variation"].value == 1 and found["squared_hellinger"].value == 1
    assert found["kl"].value == found["reverse_kl"].value == math.inf
    assert found["jensen_shannon"].value == math.log(2)
    assert found["wasserstein"].value == abs(theta)
    assert all(estimate.method == "exact" for estimate in found.values())


def test_one_line_is_at_zero_in_every_divergence():
    assert {estimate.value for estimate in parallel_lines(0.0).values()} == {0.0}


def test_rows_on_the_lines_agree_with_the_theorem_about_a_shared_factor():
    x, y = draw_line(400, 0.0, 0), draw_line(400, 0.7, 1)
    assert wasserstein(x, y).value == pytest.approx(0.7, abs=0.01) and wasserstein(x, y).value >= 0.7
    assert table_divergences(table(x), table(y))["total_variation"].value == pytest.approx(1)


def test_points_of_either_table_are_counted_once():
    p, q = table([[0.0, 0], [1, 1], [0, 0]], [0.25, 0.5, 0.25]), table([[1.0, 1], [2, 2]])
    points, a, b = on_common_points(p, q)
    assert points.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert a.tolist() == [0.5, 0.5, 0] and b.tolist() == [0, 0.5, 0.5]
    found = table_divergences(p, q)
    assert set(found) == {*F_DIVERGENCES, "wasserstein"}
    assert found["total_variation"].value == 0.5
    assert found["wasserstein"].value == pytest.approx(math.sqrt(2), rel=1e-12)  # every half moves one step


def test_draws_of_a_line_repeat_with_their_seed():
    assert torch.equal(draw_line(5, 1.0, 3), draw_line(5, 1.0, 3)) and draw_line(5, 2.0)[:, 0].tolist() == [2.0] * 5


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one per point"):
        table([[0.0], [1.0]], [1.0])
    with pytest.raises(ValueError, match="sum to 1"):
        table([[0.0], [1.0]], [1.0, 1.0])
