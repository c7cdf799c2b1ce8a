"""Folders of images: channels, labels, and the odd file by name."""

import numpy as np
import pytest
import torch
from PIL import Image

from fairway.data.image_folder import read_image_folder


def write(path, shape, mode=None, seed=0):
    """A random image; returns its bytes (h, w[, c])."""
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(exist_ok=True, parents=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return pixels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_any_number_of_channels(tmp_path, channels):
    shape = (5, 7) if channels == 1 else (5, 7, channels)
    pixels = [write(tmp_path / f"{i}.png", shape, seed=i) for i in range(3)]
    images, labels, names = read_image_folder(tmp_path)
    assert images.shape == (3, channels, 5, 7) and images.dtype == torch.uint8 and labels is names is None
    expected = np.stack(pixels).reshape(3, 5, 7, channels).transpose(0, 3, 1, 2)
    assert np.array_equal(images.numpy(), expected)


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "bmp", "tif", "PNG"])
def test_formats(tmp_path, suffix):
    write(tmp_path / f"a.{suffix}", (4, 6, 3))
    assert read_image_folder(tmp_path)[0].shape == (1, 3, 4, 6)


def test_palettes_and_bits(tmp_path):
    write(tmp_path / "gif" / "a.gif", (4, 6, 3), mode="P")
    write(tmp_path / "bits" / "a.png", (4, 6), mode="1")
    assert read_image_folder(tmp_path / "gif")[0].shape == (1, 3, 4, 6)
    assert set(read_image_folder(tmp_path / "bits")[0].unique().tolist()) <= {0, 255}


def test_subfolders_are_labels_only_if_every_image_has_one(tmp_path):
    for name in ("cat/1.png", "dog/old/2.png", "dog/3.png", ".hidden/4.png", "cat/._1.png"):
        write(tmp_path / name, (4, 4))
    (tmp_path / "readme.txt").write_text("not an image")
    _, labels, names = read_image_folder(tmp_path)
    assert labels.tolist() == [0, 1, 1] and names == ("cat", "dog")
    write(tmp_path / "4.png", (4, 4))
    assert read_image_folder(tmp_path)[1:] == (None, None)


@pytest.mark.parametrize("shape, got", [((4, 5), "5 x 4 pixels, mode L"), ((4, 4, 3), "4 x 4 pixels, mode RGB")])
def test_the_odd_image_is_named(tmp_path, shape, got):
    write(tmp_path / "a.png", (4, 4))
    write(tmp_path / "b.png", shape)
    with pytest.raises(ValueError, match=rf"expected 4 x 4 pixels, mode L, as in .*a\.png, got {got}, in .*b\.png"):
        read_image_folder(tmp_path)


def test_no_images(tmp_path):
    (tmp_path / "table.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"expected images .*got table\.csv"):
        read_image_folder(tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 40, 300])
def test_damaged_image_is_named(tmp_path, keep):
    write(tmp_path / "a.png", (32, 32, 3))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"a\.png, got a damaged file"):
        read_image_folder(tmp_path)


def test_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.arange(16, dtype=np.uint16).reshape(4, 4)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"expected 8-bit pixels in .*a\.png, got mode 'I"):
        read_image_folder(tmp_path)
