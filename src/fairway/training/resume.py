"""What a resumed run must share with the one that was started, and where it goes on.

    training/started.json             digests of the data, and how it was to be learned
    training/environment.json         versions and threads
    training/checkpoint.safetensors   the last snapshot

    data, model, units, objective, seed, steps, batch, learning rate     the same, or an error
    number of processes                                                  another one, where they share the same batch
    threads, and whatever a budget measured                              taken from the run that was started
    version of fairway or torch                                          another one is said: the bits may differ

A fresh start clears them, so that a resume never picks up an older run of the same folder.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import fairway
from fairway.core.config import to_json
from fairway.core.model import Model
from fairway.training import checkpoint
from fairway.training.batches import Table
from fairway.training.claim import STARTED, claim, clear
from fairway.training.files import BrokenFolder, digest_of, read_json, sweep, write_json
from fairway.training.history import read_rows
from fairway.training.log import say
from fairway.training.loop import Run
from fairway.training.options import Learner
from fairway.training.plan import Plan
from fairway.training.solve import Solve

ENVIRONMENT = Path("training") / "environment.json"


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
    entry |= {"dtype": str(model.dtype).removeprefix("torch."), "preprocess": to_json(model.preprocess)}
    plain: dict[str, Any] = json.loads(json.dumps(entry))
    return plain


def begin(folder: Path, entry: dict[str, Any], resume: bool) -> checkpoint.Snapshot | None:
    """Write down what is started, or hold a resumed run against it and return its last snapshot.

    Raises:
        BrokenFolder: the data or the options changed, or the checkpoint is damaged.
        FileExistsError: a fresh start would overwrite something else.
    """
    if resume and (folder / STARTED).exists():
        sweep(folder)
        sweep(folder / STARTED.parent)
        return last_of(folder, entry)
    claim(folder, entry)
    clear(folder)
    (folder / STARTED.parent).mkdir(parents=True, exist_ok=True)
    write_json(folder / STARTED, entry)
    write_json(folder / ENVIRONMENT, _environment())
    return None


def last_of(folder: Path, entry: dict[str, Any]) -> checkpoint.Snapshot | None:
    """The last snapshot of a run that was started, held against what is to go on; nothing in the folder is touched.

    Raises:
        BrokenFolder: the data or the options changed, or the checkpoint is damaged.
    """
    _compare(read_json(folder / STARTED), entry, folder)
    return checkpoint.read(folder)


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
            refuse_another_plan(run.plan, start[1]["plan"])
        run.history.rows = read_rows(folder / "metrics.jsonl", run.plan.stage)
        now = run.plan
        try:
            run.load_state(start)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise BrokenFolder(f"the checkpoint in {folder} does not fit: {str(error)[:300]}") from None
        keep_the_place(run, now, _say_what_changed(folder))
    say(f"resumed at step {run.step}")


def refuse_another_plan(now: Plan, then: dict[str, Any]) -> None:
    """The schedule depends on these; steps and evaluations may be left to the budget that bought them."""
    rows = then.get("batch_size", 0) * then.get("world", 1)
    if now.batch_size * now.world != rows:
        raise ValueError(
            f"expected batches of {rows} rows (batch_size x processes) as in the run so far, got {now.batch_size} x "
            f"{now.world}; pass batch_size={rows // now.world}"
        )
    for name, free in (("compile", None), ("precision", "auto")):
        asked, before = getattr(now, name), then.get(name)
        if asked not in (free, before):
            raise ValueError(f"expected {name} as in the run so far ({before}), got {asked}; leave it out")
    for name in ("lr", "steps", "evaluate_every", "checkpoint_every"):
        asked, before = getattr(now, name), then.get(name)
        bought = name in ("steps", "evaluate_every") and now.budget is not None and not asked
        if asked != before and not bought:
            raise ValueError(f"expected {name}={before}, which this run was started with, got {name}={asked}")


def keep_the_place(run: Run | Solve, now: Plan, environment: dict[str, Any]) -> None:
    """The processes are those that are here; the threads on each are those that there were."""
    run.plan = replace(run.plan, batch_size=now.batch_size, world=now.world, parallel=now.parallel)
    run.plan.threads = run.plan.threads or environment.get("threads")


def _environment() -> dict[str, Any]:
    """What the bits of a step depend on besides the run itself."""
    return {"fairway": fairway.__version__, "torch": torch.__version__, "threads": torch.get_num_threads()}


def _say_what_changed(folder: Path) -> dict[str, Any]:
    """The environment that a run was started in; another version goes on, in other bits perhaps."""
    before = read_json(folder / ENVIRONMENT) if (folder / ENVIRONMENT).is_file() else None
    before, now = before if isinstance(before, dict) else {}, _environment()
    changed = [name for name in ("fairway", "torch") if before.get(name) != now[name]]
    if changed:
        then, here = (", ".join(f"{name} {of.get(name)}" for name in changed) for of in (before, now))
        say(f"started with {then}, goes on with {here}: the bits may differ from those of an uninterrupted run")
    return before
