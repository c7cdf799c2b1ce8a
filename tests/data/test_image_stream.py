"""Images read as batches want them: the rules of a folder that is read whole."""

import numpy as np
import pytest
import torch

from fairway.core.event import Event
from fairway.data import image_stream as module
from fairway.data import load, stream

image = pytest.importorskip("PIL.Image")
ALL = torch.empty(0, dtype=torch.long)


@pytest.fixture
def folder(tmp_path):
    for i in range(20):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        image.fromarray(np.full((3, 4, 3), i, np.uint8)).save(tmp_path / "ab"[i % 2] / f"{i:02}.png")
    return tmp_path


def test_a_stream_holds_what_loading_gives(folder):
    data, loaded = stream(folder), load(folder)
    x, labels = data.read(torch.arange(20))
    assert torch.equal(x, loaded.x) and torch.equal(labels, loaded.labels)
    assert (data.event, data.protocol, data.label_names) == (loaded.event, loaded.protocol, loaded.label_names)
    assert data.label_event == Event((), "category", levels=2)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_holds_every_image_that_is_not_held_out(folder, workers):
    data = stream(folder, workers=workers)
    without = data.choose(4, 9)
    read = data.reader(0, 8, (0, 1), without)
    x, labels = (torch.cat(part) for part in zip(*(read(k) for k in range(2)), strict=True))
    seen = x[:, 0, 0, 0].long()
    assert len(seen.unique()) == 16 and torch.equal(seen % 2, labels)
    assert not set(seen.tolist()) & set(data.read(without)[0][:, 0, 0, 0].tolist())
    assert torch.equal(data.reader(0, 8, (0, 1), without)(5)[0], [read(k)[0] for k in range(2, 6)][-1])


def test_a_batch_reads_its_own_images_and_no_others(folder, monkeypatch):
    read, real = [], module.read_images
    monkeypatch.setattr(module, "read_images", lambda paths, *more: read.extend(paths) or real(paths, *more))
    stream(folder).reader(0, 3, (0, 1), ALL)(1000)
    assert len(read) == 3


def test_processes_share_the_batches_of_one(folder):
    data = stream(folder)
    one, parts = data.reader(0, 6, (0, 1), ALL), [data.reader(0, 3, (rank, 2), ALL) for rank in range(2)]
    for k in range(4):
        assert torch.equal(torch.cat([part(k)[0] for part in parts]), one(k)[0])


def test_damaged_and_odd_images_are_named(folder):
    path = folder / "a" / "06.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    with pytest.raises(ValueError, match=r"a/06\.png, got a damaged file"):
        stream(folder).read(torch.arange(20))
    image.fromarray(np.zeros((3, 5, 3), np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"expected 4 x 3 pixels, mode RGB, as in .*00\.png, got 5 x 3 .*06\.png"):
        stream(folder).read(torch.arange(20))
