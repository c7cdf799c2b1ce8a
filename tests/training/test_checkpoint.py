"""Snapshots come back in every bit, and the last good one survives what interrupts the next."""

import errno
import io
import os
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

from fairway.training import checkpoint
from fairway.training.files import BrokenFolder, write_tensors


class Sized(nn.Module):
    """A buffer whose size and precision come with the data."""

    def __init__(self, size=0, dtype=torch.float32):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("memory", torch.arange(size, dtype=dtype))


def snapshot(step=1):
    return {"a": torch.full((3,), float(step))}, {"step": step, "plan": {}}


def test_round_trip_on_disk(tmp_path):
    assert checkpoint.read(tmp_path) is None
    checkpoint.write(tmp_path, snapshot(1))
    checkpoint.write(tmp_path, snapshot(2))
    tensors, counters = checkpoint.read(tmp_path)
    assert counters["step"] == 2 and torch.equal(tensors["a"], torch.full((3,), 2.0))
    assert [p.name for p in (tmp_path / "training").iterdir()] == ["checkpoint.safetensors"]


class Disk:
    """Counts the system calls that writing a checkpoint makes, and fills up at one of them."""

    def __init__(self, monkeypatch, full_at=None, error=None):
        self.calls, self.full_at = [], full_at
        self.error = error or OSError(errno.ENOSPC, "No space left on device")
        disk, real_open = self, Path.open

        def counted(name, function):
            def call(*args, **kwargs):
                disk.calls.append(name)
                if len(disk.calls) - 1 == disk.full_at:
                    raise disk.error
                return function(*args, **kwargs)

            return call

        class Raw(io.FileIO):
            def write(self, data):
                return counted("write", super().write)(data)

        def opened(path, mode="r", *args, **kwargs):
            return io.BufferedWriter(counted("open", Raw)(path, "w")) if mode == "wb" else real_open(path, mode)

        monkeypatch.setattr(Path, "open", opened)
        monkeypatch.setattr(Path, "replace", counted("replace", Path.replace))
        for name in ("fsync", "open"):
            monkeypatch.setattr(os, name, counted(name, getattr(os, name)))


LARGE = {"a": torch.arange(30_000.0), "b": torch.ones(3), "c": torch.arange(20_000)}  # more than a buffer holds
CALLS = ["open", *["write"] * 4, "fsync", "replace", "open", "fsync"]  # the last two are the folder's


def test_a_checkpoint_is_synced_renamed_and_its_folder_synced(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    checkpoint.write(tmp_path, (LARGE, {"step": 1, "plan": {}}))
    assert disk.calls == CALLS


@pytest.mark.parametrize("full_at", range(len(CALLS)))
@pytest.mark.parametrize(
    ("error", "raised"),
    [(None, checkpoint.NotWritten), (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=["full", "killed"],
)
def test_whatever_call_fails_a_whole_checkpoint_is_there(tmp_path, monkeypatch, full_at, error, raised):
    checkpoint.write(tmp_path, snapshot(1))
    with monkeypatch.context() as patched, pytest.raises(raised):
        Disk(patched, full_at, error)
        checkpoint.write(tmp_path, (LARGE, {"step": 2, "plan": {}}))
    tensors, counters = checkpoint.read(tmp_path)
    renamed = full_at > CALLS.index("replace")
    assert counters["step"] == (2 if renamed else 1) and len(tensors) == (3 if renamed else 1)
    assert [p.name for p in (tmp_path / "training").iterdir()] == ["checkpoint.safetensors"]
    checkpoint.write(tmp_path, snapshot(3))
    assert checkpoint.read(tmp_path)[1]["step"] == 3


def test_a_full_disk_is_explained(tmp_path, monkeypatch):
    Disk(monkeypatch, 1)
    with pytest.raises(checkpoint.NotWritten, match=r"step 7 in .* was not written \(No space .*\); it has none yet"):
        checkpoint.write(tmp_path, snapshot(7))
    monkeypatch.undo()
    checkpoint.write(tmp_path, snapshot(7))
    Disk(monkeypatch, 1)
    with pytest.raises(checkpoint.NotWritten, match=r"step 9 in .*; its last one is of step 7") as caught:
        checkpoint.write(tmp_path, snapshot(9))
    assert caught.value.errno == errno.ENOSPC and isinstance(caught.value, OSError)


@pytest.fixture
def megabyte(tmp_path):
    """A real disk of one megabyte, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_is_really_full_keeps_the_last_checkpoint(megabyte):
    def half(step):
        return {"a": torch.full((100_000,), float(step))}, {"step": step, "plan": {}}

    checkpoint.write(megabyte, half(1))
    checkpoint.write(megabyte, half(2))  # two fit: the old one goes when the new one is there
    (megabyte / "litter").write_bytes(bytes(400_000))
    with pytest.raises(checkpoint.NotWritten, match="No space left"):
        checkpoint.write(megabyte, half(3))
    tensors, counters = checkpoint.read(megabyte)
    assert counters["step"] == 2 and torch.equal(tensors["a"], half(2)[0]["a"])
    (megabyte / "litter").unlink()
    checkpoint.write(megabyte, half(3))
    assert checkpoint.read(megabyte)[1]["step"] == 3


@pytest.mark.parametrize("text", ["[]", "3", '{"step": 1}', "{", "[" * 100_000])
def test_foreign_counters_are_no_checkpoint(tmp_path, text):
    place = tmp_path / checkpoint.PLACE
    place.parent.mkdir()
    write_tensors(place, {"a": torch.ones(1)}, {"counters": text})
    with pytest.raises(BrokenFolder, match="is not a checkpoint"):
        checkpoint.read(tmp_path)


def test_a_file_without_counters_is_no_checkpoint(tmp_path):
    place = tmp_path / checkpoint.PLACE
    place.parent.mkdir()
    write_tensors(place, {"a": torch.ones(1)})
    with pytest.raises(BrokenFolder, match="says nothing of its counters"):
        checkpoint.read(tmp_path)
    place.write_bytes(b"PK")
    with pytest.raises(BrokenFolder, match="truncated or not a safetensors file"):
        checkpoint.read(tmp_path)


def test_copies_do_not_follow_and_use_memory_again():
    live = {"a": torch.zeros(3), "b": torch.zeros(2)}
    first = checkpoint.copies(live)
    live["a"] += 1
    assert float(first["a"].sum()) == 0
    place = first["a"].data_ptr()
    live["b"] = torch.zeros(5)
    second = checkpoint.copies(live, first)
    assert second["a"].data_ptr() == place and float(second["a"].sum()) == 3
    assert second["b"].shape == (5,)


def test_a_buffer_takes_the_shape_and_precision_it_was_saved_with():
    saved = checkpoint.module_tensors("m", Sized(4, torch.float64))
    module = Sized()
    checkpoint.load_module("m", module, saved)
    assert module.memory.dtype == torch.float64 and module.memory.tolist() == [0, 1, 2, 3]
    assert torch.equal(module.linear.weight, saved["m.linear.weight"])


def test_a_parameter_does_not_change_its_shape():
    saved = checkpoint.module_tensors("m", Sized()) | {"m.linear.weight": torch.zeros(3, 2)}
    with pytest.raises(RuntimeError, match="size mismatch"):
        checkpoint.load_module("m", Sized(), saved)


def test_an_optimiser_goes_on_as_if_it_had_never_stopped():
    def step(layer, optimiser):
        optimiser.zero_grad()
        layer(torch.ones(1, 2)).square().sum().backward()
        optimiser.step()

    def build():
        layer = nn.Linear(2, 2, bias=False)
        nn.init.ones_(layer.weight)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True)

    layer, optimiser = build()
    for _ in range(3):
        step(layer, optimiser)
    saved = {k: v.clone() for k, v in checkpoint.optimiser_tensors("model", optimiser).items()}
    weight = layer.weight.detach().clone()
    step(layer, optimiser)
    again, fresh = build()
    with torch.no_grad():
        again.weight.copy_(weight)
    checkpoint.load_optimiser("model", fresh, {**saved, "optimiser.other.0.exp_avg": torch.zeros(1)})
    step(again, fresh)
    assert torch.equal(again.weight, layer.weight)
