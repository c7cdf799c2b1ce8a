"""`fairway.compare`: several models on the same data, the same split, the same budget, one page.

    held-out rows are shuffled once and cut into halves A, B of m rows each
    distance of a row     (SW(first m samples, A) + SW(last m samples, B)) / 2
    fresh real data       SW(A, B): m real rows against m others, the same sizes, hence the same bias

Each model trains and is measured in a process of its own (`worker`), one after another, so that seconds and memory
are its own. Rows keep the order they were asked for: nothing is ranked.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.config import lookup, to_json
from fairway.core.random import generator_for
from fairway.data.dataset import Dataset
from fairway.data.dataset import load as load_data
from fairway.data.split import split_rows
from fairway.metrics.divergence import relative_to, sliced_wasserstein
from fairway.metrics.features import Classifier
from fairway.report.progress import Progress
from fairway.report.references import references
from fairway.report.row import Row, jsonable
from fairway.report.table import as_text, table
from fairway.training.files import write_bytes, write_json
from fairway.training.plan import seconds_of

LIMIT = 1000  # held-out rows that are looked at
DRAWS = 8  # draws of the noise of a bound, per row
PATIENCE = 600.0  # seconds a model may take beyond three times its budget
SHUFFLE = 42  # stream of the seed


@dataclass
class Parts:
    """The rows that train and the rows that judge, with their contexts and labels."""

    train: Dataset
    held: Dataset
    context: Tensor | None
    held_context: Tensor | None
    part: dict[str, Any] | None


@dataclass
class Comparison:
    """What `compare` found.

    Args:
        rows: models in the order asked for, then the references.
        about: the data, the protocol, the budget, the machine.
        samples: (n, *E) by row name. real: held-out rows (n, *E), for pictures.
    """

    rows: list[Row]
    about: dict[str, Any]
    samples: dict[str, Tensor] = field(default_factory=dict)
    real: Tensor | None = None

    def __getitem__(self, name: str) -> Row:
        """The row of a model or a reference."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row {name!r}; rows: {', '.join(row.name for row in self.rows)}")

    def notes(self) -> list[str]:
        """What a reader of the numbers must know."""
        about = self.about
        classes = next((row.sure for row in self.rows if row.name == "fresh real data"), None)
        sure = "" if classes is None else f" · sure: share of samples with a class of p > 0.8 (real {classes:.2f})"
        return [
            f"protocol: {about['protocol']} · {about['train']:,} rows trained on, {about['held_out']:,} held out"
            f" · {about['budget']} each · seed {about['seed']}",
            f"= value, ≤ or ≥ bound, ± standard error · distance: sliced Wasserstein to held-out rows{sure}",
        ]

    def table(self) -> Any:
        """A `rich` table, 120 columns wide."""
        return table(self.rows, self.about["title"], self.notes())

    def __str__(self) -> str:
        return as_text(self.rows, self.about["title"], self.notes())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        out: dict[str, Any] = jsonable({"about": self.about, "rows": [row.to_dict() for row in self.rows]})
        return out

    def to_json(self, path: Any) -> Path:
        """Write the numbers, with the log of every training run."""
        path = _parent_made(path)
        write_json(path, self.to_dict())
        return path

    def to_html(self, path: Any) -> Path:
        """Write one page that carries its pictures in itself and opens without a network."""
        from fairway.report.page import page

        path = _parent_made(path)
        write_bytes(path, page(self).encode())
        return path

    def to_pictures(self, folder: Any) -> list[Path]:
        """Write a PNG picture of the samples of every row."""
        from fairway.report.page import pictures

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for name, image in pictures(self).items():
            paths.append(folder / f"{name.replace(' ', '_')}.png")
            write_bytes(paths[-1], image)
        return paths


def _parent_made(path: Any) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def compare(
    models: Sequence[str] | Mapping[str, Mapping[str, Any]],
    x: Any,
    *,
    context: Any = None,
    budget: float | str | None = None,
    steps: int | None = None,
    seed: int = 0,
    holdout: float | None = None,
    out: Any = None,
    limit: int = LIMIT,
    draws: int = DRAWS,
    progress: bool = True,
) -> Comparison:
    """Train models on the same rows under the same budget and judge them on the same held-out rows.

    Args:
        models: registered names, or label -> {"model": name, option: value, ...}.
        x: a data set's name, a path, an array-like or a `Dataset`.
        context: what the models are conditioned on: (n, *C), or "labels". The references stay unconditional.
        budget: seconds of training for each ("30s", "2m"). steps: or steps.
        seed: of the split, the training and the samples.
        holdout: share of the rows to hold out; None for the official test split, or 0.2 where there is none.
        out: folder for report.html, report.json, pictures/ and models/NAME (run folders). None keeps nothing.
        limit: held-out rows that are looked at, at most.
        draws: of the noise of a bound, per row.
        progress: show which model is at work.

    Returns:
        A `Comparison`; a model that fails is a row that says why.

    Raises:
        ValueError: unknown models, data that cannot be read, too few rows.
    """
    asked = _asked(models)
    data = x if isinstance(x, Dataset) else load_data(x)
    parts = _split(data, context, holdout, seed, limit)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch if out is None else out)
        job: dict[str, Any] = {
            "seed": seed,
            "budget": seconds_of(budget),
            "steps": steps,
            "draws": draws,
            "part": parts.part,
        }
        job |= {"n": 2 * (len(parts.held) // 2), "data": parts.train.describe()} | _hand_over(parts, folder / "jobs")
        found = _train_all(asked, job, folder, progress)
        found += [pair for pair in references(parts.train, parts.held, job) if pair[0].name not in asked]
        samples = {row.name: drawn for row, drawn in found if drawn is not None}
        _judge([row for row, _ in found], samples, parts)
        result = Comparison([row for row, _ in found], _about(data, parts, asked, budget, steps, seed), samples)
        result.real = parts.held.x
        if out is not None:
            result.to_json(folder / "report.json")
            result.to_html(folder / "report.html")
            result.to_pictures(folder / "pictures")
    return result


# -- what was asked ---------------------------------------------------------------------------------------------
def _asked(models: Sequence[str] | Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """label -> {"model": name, **options}, every name known."""
    if isinstance(models, str):
        models = [name.strip() for name in models.split(",") if name.strip()]
    if not isinstance(models, Mapping):
        repeated = {name for name in models if list(models).count(name) > 1}
        if repeated:
            raise ValueError(f"expected each model once, got {sorted(repeated)[0]!r} twice; label them with a mapping")
        models = {name: {"model": name} for name in models}
    if not models:
        raise ValueError("expected at least one model to compare, got none")
    for label, entry in models.items():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("model"), str):
            raise ValueError(f'expected {label!r} as {{"model": name, option: value, ...}}, got {entry!r}')
        if not label.replace("_", "").replace("-", "").isalnum():
            raise ValueError(f"expected a label of letters, digits, - and _, got {label!r}")
        lookup("model", entry["model"])
    return {label: {key: to_json(value, key) for key, value in entry.items()} for label, entry in models.items()}


def _split(data: Dataset, context: Any, holdout: float | None, seed: int, limit: int) -> Parts:
    """Training and held-out rows; the latter shuffled, at most `limit`, at least two halves of two."""
    official = holdout is None and data.test is not None
    tensor = _context(data, context)
    part: dict[str, Any]
    contexts: tuple[Tensor | None, Tensor | None]
    if official and data.test is not None:
        if tensor is not None and not isinstance(context, str):
            raise ValueError("expected context='labels' with an official test split; or give holdout= a share")
        train, held, part = data.split(None)[0], data.test, {"holdout": None, "seed": seed}
        contexts = (tensor, None if tensor is None else held.labels)
    else:
        share = 0.2 if holdout is None else holdout
        rows, others = split_rows(len(data), share, seed)
        train, held, part = data.rows(rows), data.rows(others), {"holdout": share, "seed": seed}
        contexts = (None, None) if tensor is None else (tensor[rows], tensor[others])
    keep = torch.randperm(len(held), generator=generator_for(seed, SHUFFLE))[:limit]
    if len(keep) < 4:
        raise ValueError(f"expected at least 4 held-out rows, got {len(keep)}; give more data or a larger holdout")
    held_context = None if contexts[1] is None else contexts[1][keep]
    return Parts(train, held.rows(keep), contexts[0], held_context, None if data.source == "array" else part)


def _context(data: Dataset, context: Any) -> Tensor | None:
    if isinstance(context, str):
        if context != "labels" or data.labels is None:
            raise ValueError(f"expected context as an array, or 'labels' for data that have them; got {context!r}")
        return data.labels
    tensor = None if context is None else as_tensor(context, "context")
    if tensor is not None and len(tensor) != len(data):
        raise ValueError(f"expected as many contexts as rows ({len(data)}), got {len(tensor)}")
    return tensor


def _hand_over(parts: Parts, folder: Path) -> dict[str, str]:
    """Write the rows as .npy for the workers; returns where."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"train": parts.train.x, "held_out": parts.held.x}
    if parts.context is not None and parts.held_context is not None:
        arrays |= {"train_context": parts.context, "held_out_context": parts.held_context}
    for name, rows in arrays.items():
        np.save(folder / f"{name}.npy", rows.cpu().numpy())
    return {name: str(folder / f"{name}.npy") for name in arrays}


# -- training ---------------------------------------------------------------------------------------------------
def _train_all(
    asked: dict[str, dict[str, Any]], job: dict[str, Any], folder: Path, show: bool
) -> list[tuple[Row, Tensor | None]]:
    found = []
    with Progress(list(asked), job["budget"], show) as bar:
        for label, options in asked.items():
            own = {"label": label, "model": options["model"], "folder": str(folder / "jobs" / label)}
            own |= {"options": {key: value for key, value in options.items() if key != "model"}}
            row, drawn = _train_one({**job, **own, "out": str(folder / "models" / label)}, bar)
            found.append((row, drawn))
            bar.finish(label, row)
    return found


def _train_one(job: dict[str, Any], bar: Progress) -> tuple[Row, Tensor | None]:
    """Run the worker; its row, or a failed one with the last line it said."""
    folder = Path(job["folder"])
    _clear(folder, Path(job["out"]))
    write_json(folder / "job.json", job)
    code = _run_worker(folder, bar, job["label"], 3 * (job["budget"] or 0) + PATIENCE if job["budget"] else None)
    if code == 0 and (folder / "result.json").is_file():
        row = Row(**_revived(json.loads((folder / "result.json").read_text())))
        return row, torch.from_numpy(np.load(folder / "samples.npy", allow_pickle=False))
    reason = _reason(folder / "log.txt", code)
    configuration = {"model": job["model"], **job["options"]}
    row = Row(job["label"], "model", "failed", reason, job["data"]["protocol"], configuration=configuration)
    return row, None


def _clear(folder: Path, run: Path) -> None:
    """Make way in the folder of an earlier comparison; nothing else is removed.

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
                time.sleep(0.1)
                if patience is not None and time.monotonic() - began > patience:
                    return None
            return process.returncode
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _reason(log: Path, code: int | None) -> str:
    """Why a worker ended, in one line."""
    if code is None:
        return "took far longer than its budget and was stopped"
    if code < 0:
        return f"ended by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else f"ended with code {code}"


def _revived(entries: dict[str, Any]) -> dict[str, Any]:
    """Infinities that JSON could only spell."""
    found = entries.get("likelihood") or {}
    entries["likelihood"] = {
        k: float(v) if v in ("inf", "-inf") else float("nan") if v is None and k in ("nats", "standard_error") else v
        for k, v in found.items()
    }
    return entries


# -- judging ----------------------------------------------------------------------------------------------------
def _judge(rows: list[Row], samples: dict[str, Tensor], parts: Parts) -> None:
    """Distances, and recognised classes where there are labels; the same way for every row."""
    labels = parts.train.labels
    known = labels is not None and len(labels.unique()) > 1 and not parts.train.event.missing
    classifier = Classifier(parts.train.x, labels) if known else None
    for row in rows:
        drawn = samples.get(row.name)
        if drawn is None:
            continue
        row.distance = _distance(drawn, parts.held.x, same=row.name == "fresh real data")
        if classifier is not None:
            row.sure, row.present = classifier.sure(drawn)
            row.classes = classifier.classes


def _distance(drawn: Tensor, held: Tensor, same: bool) -> float | None:
    """See the top of this file; `same` are the held-out rows themselves, half against half."""
    m, unit = len(held) // 2, relative_to(held)
    a, b = held[:m].double() / unit, held[m : 2 * m].double() / unit
    drawn = drawn.double() / unit
    pairs = [(a, b)] if same else [(drawn[:m], a), (drawn[m : 2 * m], b)]
    if not all(bool(torch.isfinite(rows).all()) for pair in pairs for rows in pair):
        return None
    return sum(sliced_wasserstein(one, two) for one, two in pairs) / len(pairs)


def _about(
    data: Dataset, parts: Parts, asked: dict[str, Any], budget: Any, steps: int | None, seed: int
) -> dict[str, Any]:
    """Data, protocol, budget, machine."""
    import fairway

    each = f"{steps:,} steps" if steps is not None else f"{seconds_of(budget):g} s" if budget else "default steps"
    return {
        "title": f"{data.name}: {len(asked)} model{'s' if len(asked) != 1 else ''} compared",
        "data": data.name,
        "event": data.event.to_dict(),
        "protocol": data.protocol,
        "digest": data.digest,
        "train": len(parts.train),
        "held_out": len(parts.held),
        "part": parts.part,
        "budget": each,
        "seed": seed,
        "conditional": parts.context is not None,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "fairway": fairway.__version__,
        "torch": torch.__version__,
    }
