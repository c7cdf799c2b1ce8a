"""What a resumed run must share with the one that was started, and where it goes on.

    training/started.json     digests of the data, split, model and objective as configuration
    training/checkpoint/      the last snapshot

A fresh start clears both, so that a resume never picks up an older run of the same folder.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from fairway.core.config import to_json
from fairway.core.model import Model
from fairway.training import checkpoint
from fairway.training.batches import Table
from fairway.training.files import BrokenFolder, digest_of, read_json, write_json
from fairway.training.history import read_rows
from fairway.training.loop import Run
from fairway.training.options import Learner
from fairway.training.plan import Plan
from fairway.training.solve import Solve

STARTED = Path("training") / "started.json"


def identity(model: Model, learner: Learner, digest: str, table: Table, split: dict[str, Any]) -> dict[str, Any]:
    """What makes a run the same run, JSON-ready.

    Args:
        digest: of the data set. table: its context and weights count, too.
        split: seed and share of the held-out rows.
    """
    rows = {"context": table.context, "weights": table.weight}
    digests = {name: digest_of(tensor) for name, tensor in rows.items() if tensor is not None}
    built = {"model": model.name(), **{key: to_json(value, key) for key, value in model.arguments.items()}}
    entry = {"data": {"x": digest, **digests}, **split, "model": built, "objective": to_json(learner)}
    plain: dict[str, Any] = json.loads(json.dumps(entry))
    return plain


def begin(folder: Path, entry: dict[str, Any], resume: bool) -> checkpoint.Snapshot | None:
    """Write down what is started, or hold a resumed run against it and return its last snapshot.

    Raises:
        BrokenFolder: the data or the options changed, or the checkpoint is damaged.
    """
    if resume and (folder / STARTED).exists():
        _compare(read_json(folder / STARTED), entry, folder)
        return checkpoint.read(folder)
    shutil.rmtree(folder / STARTED.parent, ignore_errors=True)
    (folder / STARTED.parent).mkdir(parents=True)
    write_json(folder / STARTED, entry)
    return None


def _compare(before: Any, now: dict[str, Any], folder: Path) -> None:
    before = before if isinstance(before, dict) else {}
    if before.get("data") != now["data"]:
        raise BrokenFolder(f"the data changed since {folder} was started: start a new run, or bring the data back")
    for name, value in now.items():
        if before.get(name) != value:
            raise BrokenFolder(
                f"{folder} was started with {name} {before.get(name)}, got {value}; resume with the same"
            )


def go_on(run: Run | Solve, start: checkpoint.Snapshot | None, folder: Path) -> None:
    """Continue a run from a snapshot, where there is one, and say at which step.

    Raises:
        BrokenFolder: a snapshot of something else.
        ValueError: other steps, batch size or learning rate than the run was started with.
    """
    if start is not None:
        if isinstance(run, Run):
            _refuse_another_plan(run.plan, start[1]["plan"])
        run.history.rows = read_rows(folder / "metrics.jsonl", run.plan.stage)
        try:
            run.load_state(start)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise BrokenFolder(f"the checkpoint in {folder} does not fit: {str(error)[:300]}") from None
    print(f"resumed at step {run.step}", flush=True)


def _refuse_another_plan(now: Plan, then: dict[str, Any]) -> None:
    """The schedule depends on these; steps may be left to the budget that bought them."""
    for name in ("batch_size", "lr", "steps"):
        asked, before = getattr(now, name), then.get(name)
        bought = name == "steps" and now.budget is not None
        if asked != before and not bought:
            raise ValueError(f"expected {name}={before}, which this run was started with, got {name}={asked}")
