"""Files are whole or absent; what cannot be read is refused in words."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fairway.training.files import (
    DTYPES,
    BrokenFolder,
    digest_of,
    read_json,
    read_note,
    read_tensors,
    sweep,
    write_bytes,
    write_json,
    write_tensors,
)


def break_at(monkeypatch, where):
    """Let the disk fill up at a point of the write."""

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*where, fail)


@pytest.mark.parametrize("where", [(os, "fsync"), (Path, "replace")], ids=["sync", "rename"])
def test_a_failing_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, where):
    path = tmp_path / "config.json"
    write_bytes(path, b"old")
    break_at(monkeypatch, where)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("where", [(os, "fsync"), (Path, "replace")], ids=["sync", "rename"])
def test_a_failing_first_write_leaves_nothing(tmp_path, monkeypatch, where):
    break_at(monkeypatch, where)
    with pytest.raises(OSError, match="No space"):
        write_tensors(tmp_path / "weights.safetensors", {"a": torch.ones(3)})
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_replaced_not_written_through(tmp_path):
    target = tmp_path / "precious"
    target.write_text("untouched")
    (tmp_path / "config.json").symlink_to(target)
    write_json(tmp_path / "config.json", {"a": 1})
    assert target.read_text() == "untouched"
    assert read_json(tmp_path / "config.json") == {"a": 1}


def test_json_round_trip(tmp_path):
    data = {"a": [1, 2.5, None, True], "b": {"c": "ü"}, "inf": float("inf")}
    write_json(tmp_path / "x.json", data)
    assert read_json(tmp_path / "x.json") == data


@pytest.mark.parametrize("text", ["", "{", "not json", "[" * 100_000, b"\xff\xfe\x00"])
def test_broken_json(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BrokenFolder, match=r"config\.json is not valid JSON"):
        read_json(path)


def test_missing_and_oversized_json(tmp_path):
    with pytest.raises(BrokenFolder, match=r"expected a file config\.json"):
        read_json(tmp_path / "config.json")
    (tmp_path / "config.json").write_bytes(b" " * (16 * 2**20 + 1))
    with pytest.raises(BrokenFolder, match="larger than 16 MiB"):
        read_json(tmp_path / "config.json")


def test_tensors_round_trip_with_shared_memory_stored_once(tmp_path):
    shared = torch.arange(1000.0)
    tensors = {"a": shared, "b": shared, "view": shared[3:7], "t": shared.reshape(10, 100).T, "n": torch.tensor(3)}
    tensors["empty"] = torch.zeros(0, 4, dtype=torch.float64)
    write_tensors(tmp_path / "w.safetensors", tensors)
    back = read_tensors(tmp_path / "w.safetensors")
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(back[name], tensor) and back[name].dtype == tensor.dtype, name
    assert (tmp_path / "w.safetensors").stat().st_size < 3 * 4000


@pytest.mark.parametrize("cut", [0, 7, 40, -1])
def test_truncated_tensors(tmp_path, cut):
    path = tmp_path / "w.safetensors"
    write_tensors(path, {"a": torch.ones(50)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BrokenFolder, match="truncated or not a safetensors file"):
        read_tensors(path)


@pytest.mark.parametrize("aliases", ["[]", "{", '{"b": "nowhere"}', '{"b": ["a"]}', '"a"', "[" * 100_000])
def test_hostile_aliases(tmp_path, aliases):
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.ones(2)}, path, metadata={"aliases": aliases})
    with pytest.raises(BrokenFolder, match="truncated or not a safetensors file"):
        read_tensors(path)


def test_a_pickle_in_disguise_is_not_opened(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(BrokenFolder, match="not a safetensors file"):
        read_tensors(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_the_format_is_the_one_that_safetensors_reads(tmp_path, dtype):
    """Aligned, whatever comes first; views and shared memory are written as they read."""
    x = (torch.arange(35) % 2).reshape(5, 7).to(dtype)
    tensors = {"odd": torch.tensor([True, False, True]), "x": x, "turned": x.T[1:], "none": x[:0], "one": x[0, 1]}
    write_tensors(tmp_path / "w.safetensors", tensors, {"of": "ü"})
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        back = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[k], v) and back[k].dtype == v.dtype for k, v in tensors.items())
    assert read_note(tmp_path / "w.safetensors", "of") == "ü"


def test_what_a_kill_left_is_swept_away(tmp_path):
    (tmp_path / ".weights.safetensors.123.tmp").write_bytes(b"half")
    (tmp_path / "notes.tmp").write_text("not ours")
    sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.tmp"]


def test_a_failed_write_names_the_file(tmp_path):
    with pytest.raises(OSError, match=r"No such file or directory: .*nowhere/config\.json"):
        write_json(tmp_path / "nowhere" / "config.json", {})


def test_digests_see_values_shapes_and_types():
    x = torch.arange(6.0)
    others = [x.reshape(2, 3), x.double(), x + 1, x.int()]
    assert digest_of(x) == digest_of(x.clone())
    assert len({digest_of(t) for t in [x, *others]}) == 5
    assert json.dumps(digest_of(torch.zeros(0)))
