"""What a parent makes of its workers: results, crashes, signals, and folders that are not its own."""

import sys

import numpy as np
import pytest
import torch

from fairway.report import processes
from fairway.report.processes import make_way, reason, revived, train_all
from fairway.report.row import Row
from fairway.training.files import write_json


def job(budget=None):
    return {"budget": budget, "data": {"protocol": "real"}, "seed": 0}


@pytest.fixture
def worker(monkeypatch, tmp_path):
    """Replace the worker by a few lines of Python that see its job's folder as `folder`."""

    def install(body):
        (tmp_path / "worker.py").write_text(
            f"import sys, os, pathlib\nfolder = pathlib.Path(sys.argv[1]).parent\n{body}"
        )
        original = processes.subprocess.Popen

        def start(command, **options):
            return original([sys.executable, str(tmp_path / "worker.py"), command[-1]], **options)

        monkeypatch.setattr(processes.subprocess, "Popen", start)

    return install


def test_a_result_is_read_back(worker, tmp_path):
    row = Row("good", likelihood={"relation": "none", "nats": float("nan"), "bits_per_dim": None}, steps=3)
    write_json(tmp_path / "prepared.json", row.to_dict())
    np.save(tmp_path / "prepared.npy", np.ones((4, 2)))
    worker(
        f"import shutil\nshutil.copy({str(tmp_path / 'prepared.json')!r}, folder / 'result.json')\n"
        f"shutil.copy({str(tmp_path / 'prepared.npy')!r}, folder / 'samples.npy')"
    )
    ((found, samples),) = train_all({"good": {"model": "gmm"}}, job(), tmp_path / "out", show=False)
    assert found.steps == 3 and np.isnan(found.likelihood["nats"]) and torch.equal(samples, torch.ones(4, 2).double())


def test_a_crash_is_a_row_that_says_why_and_the_next_model_runs(worker, tmp_path):
    worker("raise ValueError('expected scale > 0, got -1')")
    found = train_all({"a": {"model": "gmm", "components": 3}, "b": {"model": "vae"}}, job(), tmp_path, show=False)
    assert [(row.name, row.status) for row, _ in found] == [("a", "failed"), ("b", "failed")]
    assert found[0][0].reason == "ValueError: expected scale > 0, got -1" and found[0][1] is None
    assert found[0][0].configuration == {"model": "gmm", "components": 3} and found[0][0].protocol == "real"


def test_a_killed_worker_is_a_row(worker, tmp_path):
    worker("os.kill(os.getpid(), 9)")
    ((row, _),) = train_all({"a": {"model": "gmm"}}, job(), tmp_path, show=False)
    assert row.status == "failed" and "signal 9" in row.reason


def test_a_worker_that_hangs_is_stopped(worker, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    worker("import time; time.sleep(60)")
    ((row, _),) = train_all({"a": {"model": "gmm"}}, job(budget=0.1), tmp_path, show=False)
    assert row.status == "failed" and "stopped" in row.reason


def test_a_second_comparison_clears_the_first_and_nothing_else(tmp_path):
    folder, run = tmp_path / "jobs" / "a", tmp_path / "models" / "a"
    make_way(folder, run)
    (folder / "job.json").write_text("{}")
    (folder / "result.json").write_text("{}")
    run.mkdir(parents=True)
    make_way(folder, run)
    assert folder.is_dir() and not list(folder.iterdir()) and not run.exists()
    run.mkdir(parents=True)
    (run / "precious").write_text("mine")
    with pytest.raises(ValueError, match="something else's"):
        make_way(folder, run)
    assert (run / "precious").exists()


def test_reasons_are_one_line(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("Traceback\n  file\nRuntimeError: too hot\n\n")
    assert reason(log, 1) == "RuntimeError: too hot"
    log.write_text("")
    assert reason(log, 3) == "ended with code 3" and "signal 11" in reason(log, -11) and "stopped" in reason(log, None)


def test_numbers_that_json_could_only_spell():
    found = revived({"name": "x", "likelihood": {"nats": "-inf", "standard_error": None, "bits_per_dim": None}})
    assert found["likelihood"]["nats"] == -np.inf and np.isnan(found["likelihood"]["standard_error"])
    assert found["likelihood"]["bits_per_dim"] is None and revived({"likelihood": None})["likelihood"] is None
