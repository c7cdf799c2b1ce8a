"""The picture is a small PNG of samples, neighbours and distances."""

import struct

import pytest
import torch

from fairway.metrics.memorisation import nearest_rows
from fairway.report.neighbours import LIMIT, neighbour_picture, text


def images(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def size(file):
    return struct.unpack(">II", file[16:24])


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (1, 28, 28), (3, 32, 32), (3, 64, 64)])
def test_eight_noisy_images_with_five_neighbours_fit(shape):
    file = neighbour_picture(nearest_rows(images(8, *shape), images(20, *shape, seed=1)), 0, 1)
    assert file.startswith(b"\x89PNG") and len(file) <= LIMIT and size(file)[0] > 100


def test_what_would_not_fit_is_cut_to_fewer_lines_or_refused():
    rich = images(8, 3, 128, 128)
    file = neighbour_picture(nearest_rows(rich, rich, k=2), 0, 1)
    assert len(file) <= LIMIT and size(file)[1] < 3 * 200
    with pytest.raises(ValueError, match="take fewer neighbours"):
        neighbour_picture(nearest_rows(images(2, 3, 256, 256), images(3, 3, 256, 256), k=2), 0, 1)


def test_more_lines_make_a_taller_picture_and_other_distances_another_one():
    x = images(9, 8, 8)
    one, two = (nearest_rows(x[:n], x[4:], k=2) for n in (1, 2))
    assert size(neighbour_picture(two, 0, 1))[1] == 2 * size(neighbour_picture(one, 0, 1))[1]
    moved = type(one)(one.samples, one.rows, one.distances + 7, one.index)
    assert neighbour_picture(moved, 0, 1) != neighbour_picture(one, 0, 1)


def test_every_figure_has_a_shape_of_its_own():
    shapes = {text(figure).tobytes() for figure in "0123456789.e+-"}
    assert len(shapes) == 14 and text("1e+03").shape == (10, 40) and not text("n").any()


def test_rows_that_are_no_images_are_refused():
    with pytest.raises(ValueError, match="draw these as points"):
        neighbour_picture(nearest_rows(images(3, 2), images(5, 2, seed=1), k=2), 0, 1)
