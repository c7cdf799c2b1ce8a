"""Named image sets: the published statistics, the protocols, and files that are absent or damaged."""

import gzip
import shutil

import pytest
import torch

from fairway.data import images, load


def test_digits_are_17_grey_levels():
    data = images.digits()
    assert data.x.shape == (1797, 8, 8) and data.x.dtype == torch.uint8 and data.event.levels == 17
    assert data.protocol == "grey levels 0..16" and torch.bincount(data.labels).min() == 174
    assert int(data.x.max()) == 16


# -- files on disk ----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def grey_mnist(data_folder):
    return images.mnist(data_folder)


def test_mnist_is_the_published_one(grey_mnist):
    data = grey_mnist
    assert data.x.shape == (60_000, 28, 28) and len(data.test) == 10_000
    assert data.x.float().mean().div(255).item() == pytest.approx(0.13066, abs=1e-5)
    assert data.labels[:5].tolist() == [5, 0, 4, 1, 9] and data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.protocol == data.test.protocol == "grey levels 0..255" and data.event.levels == 256
    train, test = data.split()
    assert test is data.test and train.test is None and len(train) == 60_000


def test_fixed_binarisation_is_one_bernoulli_draw(data_folder, grey_mnist):
    data = load("mnist", folder=data_folder / "mnist", protocol="fixed")
    assert data.protocol == data.test.protocol == "fixed binarisation (seed 0)" and data.event.kind == "binary"
    assert data.x.float().mean().item() == pytest.approx(0.13066, abs=2e-4)
    bits, grey = data.test.x, grey_mnist.test.x
    assert not bits[grey == 0].any() and bits[grey == 255].all()
    half = (grey > 100) & (grey < 155)
    assert bits[half].float().mean().item() == pytest.approx(grey[half].float().mean().item() / 255, abs=5e-3)
    assert data.options == {"protocol": "fixed"}


def test_fashion_mnist_is_the_published_one(data_folder):
    data = images.fashion_mnist(data_folder)
    assert data.x.float().mean().div(255).item() == pytest.approx(0.28604, abs=1e-5)
    assert torch.bincount(data.labels).tolist() == 10 * [6000] and data.label_names[9] == "Ankle boot"


def test_binarized_mnist_has_the_published_means_and_splits(data_folder, monkeypatch):
    monkeypatch.setenv("FAIRWAY_DATA", str(data_folder))
    data = load("binarized_mnist")
    parts = (data, data.validation, data.test)
    assert [len(part) for part in parts] == [50_000, 10_000, 10_000]
    means = [part.x.float().mean().item() for part in parts]
    assert means == pytest.approx([0.13056, 0.13113, 0.13251], abs=1e-5)
    assert all(part.protocol == "static binarisation" and part.event.kind == "binary" for part in parts)
    assert data.x.max() == 1 and len(data.labels) == 50_000


@pytest.mark.parametrize(
    "protocol, hint", [("dynamic", "not supported yet"), ("static", "binarized_mnist"), ("x", "choose")]
)
def test_other_protocols_say_what_to_do(protocol, hint):
    with pytest.raises(ValueError, match=f"'grey' or 'fixed' for mnist, got '{protocol}'; .*{hint}"):
        images.mnist(protocol=protocol)


def test_absent_files_say_which_and_where(tmp_path, monkeypatch):
    monkeypatch.delenv("FAIRWAY_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"FAIRWAY_DATA is not set.*train-images.*export FAIRWAY_DATA="):
        images.mnist()
    with pytest.raises(FileNotFoundError, match=r"binarized_mnist.npz.*pass folder="):
        images.binarized_mnist(tmp_path)
    monkeypatch.setenv("FAIRWAY_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        images.fashion_mnist()


def test_a_changed_file_is_refused(data_folder, tmp_path):
    for file in images.IDX:
        shutil.copyfile(data_folder / "mnist" / file, tmp_path / file)
    whole = (tmp_path / images.IDX[2]).read_bytes()
    (tmp_path / images.IDX[2]).write_bytes(whole[:-100])
    with pytest.raises(
        ValueError, match=r"expected .*t10k-images.* with SHA-256 8d422c7b0a1c\.\.\., got .*download it again"
    ):
        images.mnist(tmp_path)


def test_idx_round_trip_and_damage(tmp_path):
    path = tmp_path / "x.gz"
    raw = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])
    path.write_bytes(gzip.compress(raw))
    assert images.read_idx(path).tolist() == [[1, 2, 3], [4, 5, 6]]
    for broken in (
        gzip.compress(raw)[:-9],
        b"not gzip",
        gzip.compress(raw[:-1]),
        gzip.compress(b""),
        gzip.compress(raw[:6]),
    ):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"expected (a gzipped|an) idx file"):
            images.read_idx(path)
