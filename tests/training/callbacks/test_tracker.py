"""A tracker is opened once per run, told every number once, and closed."""

import json
import math

import pytest
import torch

from fairway.core.event import Event
from fairway.models.flow.real_nvp import RealNVP
from fairway.training.callbacks import Callback, Tracker
from fairway.training.callbacks.tracker import numbers
from fairway.training.fit import fit


class Notes(Tracker):
    def __init__(self):
        self.records = []

    def open(self, run, settings):
        self.records.append([])
        self.settings, self.is_open = settings, True

    def write(self, row, step):
        assert self.is_open
        self.records[-1].append((step, row))

    def close(self):
        self.is_open = False


class Stop(Callback):
    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            raise KeyboardInterrupt


def merged(record):
    """step -> numbers without the clock; no number twice."""
    rows = {}
    for step, row in record:
        row = {name: value for name, value in row.items() if name != "seconds"}
        assert not set(row) & set(rows.get(step, {})), (step, row)
        rows.setdefault(step, {}).update(row)
    return rows


def test_every_number_of_the_log_and_the_monitor(x, small):
    notes = Notes()
    model = fit("real_nvp", x, steps=60, callbacks=[notes], **small)
    rows = merged(notes.records[0])
    assert list(rows) == [25, 50, 60] and not notes.is_open
    assert set(rows[50]) == {"loss", "nll", "gradient", "lr", "monitor"} or {"loss", "gradient", "lr"} <= set(rows[50])
    assert [(step, row["monitor"]) for step, row in rows.items()] == model.history.curve("monitor")
    assert [(step, row["loss"]) for step, row in rows.items() if "loss" in row] == model.history.curve("loss")


def test_a_solver_is_tracked_too(x):
    notes = Notes()
    model = fit("gmm", x, components=2, iterations=3, tolerance=0.0, callbacks=[notes])
    assert [(step, row["loss"]) for step, row in notes.records[0]] == model.history.curve("loss")
    assert notes.settings["objective"]["name"] == "em" and notes.settings["model"]["components"] == 2


def test_a_resumed_run_hands_over_what_was_logged_before(x, small, tmp_path):
    whole = Notes()
    fit("real_nvp", x, steps=200, callbacks=[whole], **small)
    cut = Notes()
    with pytest.raises(KeyboardInterrupt):
        fit("real_nvp", x, steps=200, out=tmp_path, callbacks=[cut, Stop(120)], **small)
    fit("real_nvp", x, steps=200, out=tmp_path, resume=True, callbacks=[cut], **small)
    assert len(cut.records) == 2
    assert merged(cut.records[1]) == merged(whole.records[0])


def test_one_tracker_may_watch_several_runs_one_after_the_other(x, small):
    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        fit("real_nvp", x, steps=60, callbacks=[notes, Stop(51)], **small)
    fit("real_nvp", x, steps=20, callbacks=[notes], **small)
    assert [[step for step, _ in record][-1] for record in notes.records] == [50, 20]


def test_the_settings_are_plain_json(x):
    notes = Notes()
    fit("wgan_gp", x, steps=2, hidden=(8,), critic_hidden=(8,), callbacks=[notes])
    said = json.loads(json.dumps(notes.settings))
    assert said["model"]["name"] == "wgan_gp" and said["model"]["hidden"] == [8]
    assert said["objective"]["critic_hidden"] == [8] and said["plan"]["steps"] == 2


def test_what_no_file_can_hold_is_shown(x):
    class Odd(RealNVP):
        def __init__(self, event, units=torch.float32):
            super().__init__(event, transforms=2, hidden=(8,))

    notes = Notes()
    fit(Odd(Event((2,)), units=torch.float64), x, steps=2, callbacks=[notes])
    assert notes.settings["model"]["units"] == "torch.float64"


def test_words_and_flags_are_no_numbers():
    assert numbers({"step": 3, "stage": 1, "loss": math.inf, "word": "x", "flag": True}) == {"loss": math.inf}


def test_a_tracker_must_say_how():
    with pytest.raises(TypeError, match="abstract method"):
        Tracker()
