"""A run remembers which rows it never saw."""

import json

import numpy as np
import pytest
import torch

from fairway.data.dataset import load
from fairway.report.held_out import held_out, read_record, record, source_of
from fairway.training.files import BrokenFolder, write_json


@pytest.fixture
def run(tmp_path):
    rows = np.random.default_rng(0).normal(size=(50, 2))
    np.save(tmp_path / "rows.npy", rows)
    train, held = load(tmp_path / "rows.npy").split(0.2, 7)
    write_json(tmp_path / "data.json", train.describe())
    return tmp_path, held


def test_the_rows_come_back(run):
    folder, held = run
    record(folder, 0.2, 7)
    assert torch.equal(held_out(folder).x, held.x) and len(source_of(folder)) == 50


def test_changed_data_are_refused(run):
    folder, _ = run
    record(folder, 0.2, 7)
    np.save(folder / "rows.npy", np.load(folder / "rows.npy")[::-1])
    with pytest.raises(ValueError, match="changed since"):
        held_out(folder)


def test_a_run_on_every_row_has_nothing_to_offer(run):
    with pytest.raises(ValueError, match="trained on every row"):
        held_out(run[0])


def test_an_array_cannot_be_found_again(run):
    folder, _ = run
    write_json(folder / "data.json", {**read_record(folder), "source": "array", "part": {"holdout": 0.2, "seed": 0}})
    with pytest.raises(ValueError, match="trained on an array"):
        held_out(folder)


@pytest.mark.parametrize("text", ["[]", "{}", '{"source": 3}', '{"source": "x", "event": [], "options": {}}', "{"])
def test_what_does_not_describe_data_is_refused(tmp_path, text):
    (tmp_path / "data.json").write_text(text)
    with pytest.raises(BrokenFolder):
        read_record(tmp_path)


def test_the_record_is_json(run):
    record(run[0], None, 0)
    assert json.loads((run[0] / "data.json").read_text())["part"] == {"holdout": None, "seed": 0}
