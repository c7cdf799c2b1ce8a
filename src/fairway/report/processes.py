"""Each model in a process of its own, one after another: seconds and memory are its own, a crash is a row.

folder/jobs/LABEL/      job.json (what was asked), log.txt (what it said), result.json, samples.npy (what it found)
folder/models/LABEL/    the run folder
"""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairway.report.progress import Progress
from fairway.report.row import Row
from fairway.training.files import write_json

PATIENCE = 600.0  # seconds a model may take beyond three times its budget
POLL = 0.1  # seconds between two looks at a worker


def train_all(
    asked: Mapping[str, Mapping[str, Any]], job: Mapping[str, Any], folder: Path, show: bool
) -> list[tuple[Row, Tensor | None]]:
    """(row, samples) of every model, in order; a failed one has no samples.

    Args:
        asked: label -> {"model": name, **options}.
        job: what every worker is told. folder: of the comparison. show: progress on the error stream.
    """
    found = []
    with Progress(list(asked), job["budget"], show) as bar:
        for label, options in asked.items():
            own = {"label": label, "model": options["model"], "folder": str(folder / "jobs" / label)}
            own["out"] = str(folder / "models" / label)
            own |= {"options": {key: value for key, value in options.items() if key != "model"}}
            found.append(train_one({**job, **own}, bar))
            bar.finish(label, found[-1][0])
    return found


def train_one(job: dict[str, Any], bar: Progress) -> tuple[Row, Tensor | None]:
    """Run the worker; its row and samples, or a failed row with the last line it said."""
    folder = Path(job["folder"])
    make_way(folder, Path(job["out"]))
    write_json(folder / "job.json", job)
    patience = None if job["budget"] is None else 3 * job["budget"] + PATIENCE
    code = _run_worker(folder, bar, job["label"], patience)
    if code == 0 and (folder / "result.json").is_file():
        row = Row(**revived(json.loads((folder / "result.json").read_text(encoding="utf-8"))))
        return row, torch.from_numpy(np.load(folder / "samples.npy", allow_pickle=False))
    said, configuration = reason(folder / "log.txt", code), {"model": job["model"], **job["options"]}
    return Row(job["label"], "model", "failed", said, job["data"]["protocol"], configuration=configuration), None


def make_way(folder: Path, run: Path) -> None:
    """Clear the folders of an earlier comparison; nothing else is removed.

    Raises:
        ValueError: a run folder is in the way that no comparison made.
    """
    if run.exists() and not (folder / "job.json").is_file():
        raise ValueError(f"expected a new folder or one of an earlier comparison, but {run} is something else's")
    for old in (folder, run):
        shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(parents=True)


def _run_worker(folder: Path, bar: Progress, label: str, patience: float | None) -> int | None:
    """The worker's exit code; None where it took too long."""
    began = time.monotonic()
    command = [sys.executable, "-m", "fairway.report.worker", str(folder / "job.json")]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ})
        try:
            while process.poll() is None:
                bar.tick(label, folder / "state", time.monotonic() - began)
                time.sleep(POLL)
                if patience is not None and time.monotonic() - began > patience:
                    return None
            return process.returncode
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def reason(log: Path, code: int | None) -> str:
    """Why a worker ended, in one line."""
    if code is None:
        return "took far longer than its budget and was stopped"
    if code < 0:
        return f"ended by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else f"ended with code {code}"


def revived(entries: dict[str, Any]) -> dict[str, Any]:
    """A row's entries with the infinities and NaNs that JSON could only spell."""
    likelihood = {key: _number(key, value) for key, value in (entries.get("likelihood") or {}).items()}
    return {**entries, "likelihood": likelihood or None}


def _number(key: str, value: Any) -> Any:
    if value in ("inf", "-inf"):
        return float(value)
    return math.nan if value is None and key in ("nats", "standard_error") else value
