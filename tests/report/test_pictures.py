"""Pictures: valid PNG files, the right pixels, any kind of data."""

import io

import numpy as np
import pytest
from PIL import Image

from fairway.core.event import Event
from fairway.report.pictures import CANVAS, data_uri, grid, histogram, pairs, picture, png, scatter


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_a_png_holds_its_pixels(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as image:
        image.verify()
    with Image.open(io.BytesIO(png(pixels))) as image:
        assert np.array_equal(np.asarray(image), pixels)
    assert data_uri(png(pixels)).startswith("data:image/png;base64,iVBORw0KGgo")


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="expected bytes"):
        png(np.zeros((4, 4)))


def test_an_image_keeps_its_levels_in_the_grid():
    images = np.zeros((3, 2, 2))
    images[1] = [[0, 8], [16, 16]]
    pixels = grid(images, 0.0, 16.0, columns=3)
    assert pixels.ndim == 3 and {0, 128, 255} <= set(np.unique(pixels))
    assert (pixels == 255).all(-1).sum() == 2 * (pixels == 128).all(-1).sum() > 0


@pytest.mark.parametrize(
    ("shape", "event"),
    [
        ((8, 8), Event((8, 8), "integer", low=0, high=16)),
        ((1, 4, 4), Event((1, 4, 4), "binary")),
        ((3, 5, 9), Event((3, 5, 9))),
        ((2, 6, 6), Event((2, 6, 6), "bounded", low=-1, high=1)),
        ((2,), Event((2,))),
        ((1,), Event((1,))),
        ((13,), Event((13,))),
        ((3,), Event((3,), "integer", low=0, high=4)),
    ],
)
def test_every_kind_of_data_has_a_picture(shape, event):
    pixels = picture(noise(70, *shape), event, noise(50, *shape, seed=1))
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3 and 100 < pixels.shape[0] < 700 and pixels.std() > 1


def test_points_stand_where_they_are():
    real = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    pixels = scatter(np.array([[0.9, 0.9]] * 9), real, 100).astype(int)
    green = pixels[..., 1] - pixels[..., 0]
    y, x = np.unravel_index(green.argmax(), green.shape)
    assert y < 30 and x > 70  # up is up


def test_samples_that_are_far_or_not_finite_do_no_harm():
    real, wild = noise(50, 2), np.array([[1e300, 0], [np.nan, 1], [-np.inf, 2], [0, 0]])
    assert scatter(wild, real, 60).shape == (60, 60, 3)
    assert pairs(np.concatenate([wild, wild], 1), noise(50, 4)).shape[2] == 3
    assert picture(np.full((4, 3, 3), np.nan), Event((3, 3)), noise(9, 3, 3)).shape[2] == 3


def test_a_histogram_shows_samples_and_outlines_real_rows():
    low = histogram(np.full(50, -1.0), np.array([-1.0, 1.0] * 20), 64).astype(int)
    green = (low[..., 1] - low[..., 0]) > 40
    assert green[:, :32].any() and not green[:, 33:].any() and (low != CANVAS).any(-1)[:, 33:].any()


def test_a_constant_column_has_a_picture():
    assert scatter(np.zeros((5, 2)), np.zeros((5, 2)), 40).shape == (40, 40, 3)
