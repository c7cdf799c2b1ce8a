"""W&B records a run without network; a resumed run goes on with the same record."""

import json
import os
import subprocess
import sys
import types

import pytest

from fairway.training.callbacks import Callback, WandB
from fairway.training.files import BrokenFolder
from fairway.training.fit import fit


class Record:
    """A W&B run that remembers."""

    def __init__(self, step):
        self.step, self.rows, self.finished = step, [], 0

    def log(self, row, step):
        assert step >= self.step
        self.step = step
        self.rows.append((step, row))

    def finish(self):
        self.finished += 1


@pytest.fixture
def package(monkeypatch):
    """`wandb`, with a server that knows the last step of every record."""
    fake = types.SimpleNamespace(started=[], records=[], Settings=dict)

    def init(**options):
        before = [r.step for r, o in zip(fake.records, fake.started, strict=True) if o["id"] == options["id"]]
        fake.started.append(options)
        fake.records.append(Record(before[-1] if before else 0))
        return fake.records[-1]

    fake.init = init
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


class Stop(Callback):
    def on_step(self, run):
        if run.step == 120:
            raise KeyboardInterrupt


def test_the_record_has_project_settings_and_every_number(package, x, small, tmp_path):
    model = fit("real_nvp", x, steps=60, out=tmp_path, callbacks=[WandB("greens")], **small)
    (started,), (record,) = package.started, package.records
    assert (started["project"], started["mode"], started["dir"]) == ("greens", "offline", str(tmp_path))
    assert started["config"]["plan"]["steps"] == 60 and record.finished == 1
    assert [(step, row["loss"]) for step, row in record.rows if "loss" in row] == model.history.curve("loss")
    assert [(step, row["monitor"]) for step, row in record.rows if "monitor" in row] == model.history.curve("monitor")


def test_a_resumed_run_goes_on_with_its_record_and_a_new_run_does_not(package, x, small, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit("real_nvp", x, steps=200, out=tmp_path, callbacks=[WandB("greens"), Stop()], **small)
    fit("real_nvp", x, steps=200, out=tmp_path, resume=True, callbacks=[WandB("greens")], **small)
    fit("real_nvp", x, steps=20, out=tmp_path, callbacks=[WandB("greens")], **small)
    first, again, fresh = (started["id"] for started in package.started)
    assert first == again != fresh and all(started["resume"] == "allow" for started in package.started)
    # bit-exact: the row that the server holds already is the row of this run
    assert [step for step, row in package.records[1].rows if "loss" in row] == [100, 150, 200]
    assert package.records[1].rows[0][0] >= package.records[0].step


def test_without_a_run_folder_every_run_is_a_new_record(package, x, small, tmp_path):
    watch = WandB("greens", folder=tmp_path)
    fit("real_nvp", x, steps=5, callbacks=[watch], **small)
    fit("real_nvp", x, steps=5, callbacks=[watch], **small)
    assert package.started[0]["id"] != package.started[1]["id"]
    assert package.started[0]["dir"] == str(tmp_path)


@pytest.mark.parametrize("text", ['{"id": "../../etc"}', '{"id": 3}', "[]"])
def test_a_hostile_identity_is_refused(package, x, small, tmp_path, text):
    class Plant(Callback):
        def on_step(self, run):
            (tmp_path / "training" / "wandb.json").write_text(text)

    with pytest.raises(BrokenFolder, match="does not name a W&B record"):
        fit("real_nvp", x, steps=5, out=tmp_path, callbacks=[Plant(), WandB("greens")], **small)


def test_another_mode_is_refused(package):
    with pytest.raises(ValueError, match="expected mode as 'offline' or 'online', got 'disabled'"):
        WandB("greens", mode="disabled")


def test_without_the_package_the_extra_is_named_before_the_training(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"pip install 'fairway\[wandb\]'"):
        WandB("greens")


SCRIPT = """
import torch
from fairway.training.callbacks import WandB
from fairway.training.fit import fit
fit("real_nvp", torch.randn(64, 2), steps=6, transforms=2, hidden=(8,), out="run", callbacks=[WandB("greens")])
"""


@pytest.mark.slow
def test_offline_the_package_itself_leaves_a_record_with_the_values(tmp_path):
    keep = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment = {**keep, "WANDB_DIR": str(tmp_path), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    identity = json.loads((tmp_path / "run" / "training" / "wandb.json").read_text())["id"]
    (folder,) = (tmp_path / "run" / "wandb").glob(f"offline-run-*-{identity}")
    written = (folder / f"run-{identity}.wandb").read_bytes()
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert b"gradient" in written and str(row["loss"]).encode()[:8] in written
