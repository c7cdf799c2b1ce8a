"""Rows to a file, by suffix; whole or absent."""

import io

import numpy as np
import pytest
import torch

from fairway.cli.saving import FORMATS, check_path, save_rows
from fairway.core.event import Event

GREY = Event((4, 4), "integer", low=0, high=3)


def test_arrays_come_back_as_they_were(tmp_path):
    rows = torch.randn(5, 2, 3)
    assert np.array_equal(np.load(save_rows(tmp_path / "a.npy", rows)), rows)
    with np.load(save_rows(tmp_path / "deep" / "er" / "a.npz", rows)) as archive:
        assert np.array_equal(archive["x"], rows)


def test_text_keeps_every_digit_of_a_float32_and_integers_whole(tmp_path):
    rows = torch.randn(20, 2, 2) * 1e-3 + 1000
    read = np.loadtxt(save_rows(tmp_path / "a.csv", rows), delimiter=",", dtype=np.float32)
    assert np.array_equal(read, rows.flatten(1))
    save_rows(tmp_path / "b.csv", torch.tensor([[0, 255]], dtype=torch.uint8))
    assert (tmp_path / "b.csv").read_text() == "0,255\n"


def test_a_row_of_numbers_is_a_column(tmp_path):
    save_rows(tmp_path / "a.csv", torch.tensor([1.5, -2.0]))
    assert (tmp_path / "a.csv").read_text() == "1.5\n-2\n"


def test_pictures_show_the_event(tmp_path):
    from PIL import Image

    path = save_rows(tmp_path / "a.png", torch.full((3, 4, 4), 3), GREY)
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        assert image.format == "PNG" and image.mode == "RGB"
        assert image.resize((1, 1)).getpixel((0, 0)) != (255,) * 3 and image.getextrema()[0][1] == 255


def test_pictures_need_an_event(tmp_path):
    with pytest.raises(ValueError, match=r"expected a file name ending in .npy, .npz, .csv; got 'a.png'"):
        save_rows(tmp_path / "a.png", torch.zeros(2))


@pytest.mark.parametrize("name", ["a.xyz", "a", ".npy", "a.npy.gz", "a.PNG "])
def test_other_names_are_refused_and_leave_nothing(tmp_path, name):
    with pytest.raises(ValueError, match="expected a file name ending in"):
        save_rows(tmp_path / name, torch.zeros(2), GREY)
    assert not list(tmp_path.iterdir())


def test_names_are_judged_before_the_work(tmp_path):
    check_path(None)
    check_path("a.npy")
    with pytest.raises(ValueError, match=r"ending in .npy, .csv; got 'a.png'"):
        check_path("a.png", (".npy", ".csv"))
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(ValueError, match="got the folder"):
        check_path(tmp_path / "folder.npy")
    assert FORMATS[-1] == ".png"
