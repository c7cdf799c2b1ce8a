"""Snapshots come back in every bit, and the last good one survives what interrupts the next."""

from pathlib import Path

import pytest
import torch
from torch import nn

from fairway.training import checkpoint
from fairway.training.files import BrokenFolder


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
    assert [p.name for p in (tmp_path / "training").iterdir()] == ["checkpoint"]


@pytest.mark.parametrize("failing", ["write_tensors", "write_json"])
def test_a_failing_write_leaves_the_last_one(tmp_path, monkeypatch, failing):
    checkpoint.write(tmp_path, snapshot(1))

    def fail(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint, failing, fail)
    with pytest.raises(OSError, match="No space"):
        checkpoint.write(tmp_path, snapshot(2))
    assert checkpoint.read(tmp_path)[1]["step"] == 1


def test_a_kill_between_the_two_renames_falls_back(tmp_path, monkeypatch):
    checkpoint.write(tmp_path, snapshot(1))
    rename, calls = Path.rename, []

    def once(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", once)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write(tmp_path, snapshot(2))
    assert not (tmp_path / checkpoint.PLACE).exists()
    assert checkpoint.read(tmp_path)[1]["step"] == 1
    monkeypatch.undo()
    checkpoint.write(tmp_path, snapshot(3))
    assert checkpoint.read(tmp_path)[1]["step"] == 3


@pytest.mark.parametrize("text", ["[]", "3", '{"step": 1}'])
def test_a_foreign_file_is_no_checkpoint(tmp_path, text):
    checkpoint.write(tmp_path, snapshot(1))
    (tmp_path / checkpoint.PLACE / "state.json").write_text(text)
    with pytest.raises(BrokenFolder, match="is not a checkpoint"):
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
