"""TensorBoard's files hold every number once, also after a resume."""

import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fairway.training.callbacks import Callback, TensorBoard
from fairway.training.fit import fit


class Stop(Callback):
    def on_step(self, run):
        if run.step == 120:
            raise KeyboardInterrupt


def shown(folder):
    """tag -> [(step, value)], as TensorBoard reads it."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}, events


def test_what_was_logged_is_what_is_shown(x, small, tmp_path):
    model = fit("real_nvp", x, steps=60, callbacks=[TensorBoard(tmp_path / "board")], **small)
    curves, events = shown(tmp_path / "board")
    assert {"loss", "gradient", "lr", "seconds", "monitor"} <= set(curves)
    for tag in ("loss", "monitor", "lr"):
        assert curves[tag] == [(step, pytest.approx(value)) for step, value in model.history.curve(tag)]
    assert b'"name": "real_nvp"' in events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0]


def test_a_resumed_run_shows_no_step_twice(x, small, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit("real_nvp", x, steps=200, out=tmp_path, callbacks=[TensorBoard(tmp_path / "board"), Stop()], **small)
    assert shown(tmp_path / "board")[0]["loss"][-1][0] == 100
    model = fit(
        "real_nvp", x, steps=200, out=tmp_path, resume=True, callbacks=[TensorBoard(tmp_path / "board")], **small
    )
    curves = shown(tmp_path / "board")[0]
    assert curves["loss"] == [(step, pytest.approx(value)) for step, value in model.history.curve("loss")]
    assert [step for step, _ in curves["loss"]] == [50, 100, 150, 200]


def test_another_run_in_the_same_folder_replaces_the_first(x, small, tmp_path):
    fit("real_nvp", x, steps=60, callbacks=[TensorBoard(tmp_path)], **small)
    model = fit("real_nvp", x, steps=20, seed=1, callbacks=[TensorBoard(tmp_path)], **small)
    assert shown(tmp_path)[0]["loss"] == [(20, pytest.approx(model.history.curve("loss")[0][1]))]


def test_without_the_package_the_extra_is_named_before_the_training(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install 'fairway\[tensorboard\]'"):
        TensorBoard(tmp_path)
