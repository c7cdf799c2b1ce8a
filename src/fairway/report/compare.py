"""`fairway.compare`: several models on the same data, the same split, the same budget, one page.

    held-out rows are shuffled once and cut into halves A, B of m rows each
    distance of a row     (SW(first m samples, A) + SW(last m samples, B)) / 2
    fresh real data       SW(A, B): m real rows against m others, the same sizes, hence the same bias

Each model trains and is measured in a process of its own (`worker`), one after another, so that seconds and memory
are its own. Rows keep the order they were asked for: nothing is ranked.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairway.core.config import lookup, to_json
from fairway.data.dataset import Dataset
from fairway.data.dataset import load as load_data
from fairway.metrics.divergence import relative_to, sliced_wasserstein
from fairway.metrics.features import Classifier
from fairway.report.parts import Parts, hand_over, split_parts
from fairway.report.processes import train_all
from fairway.report.references import references
from fairway.report.row import Row, jsonable
from fairway.report.table import as_text, table
from fairway.training.files import write_bytes, write_json
from fairway.training.plan import integer, seconds_of

LIMIT = 1000  # held-out rows that are looked at
DRAWS = 8  # draws of the noise of a bound, per row
OURS = {"x", "context", "budget", "steps", "seed", "out", "resume", "progress"}  # the same for every model


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
        out: folder for report.html, report.json, pictures/, models/NAME (run folders) and jobs/NAME (their logs).
            None keeps nothing.
        limit: held-out rows that are looked at, at most.
        draws: of the noise of a bound, per row.
        progress: show which model is at work.

    Returns:
        A `Comparison`; a model that fails is a row that says why.

    Raises:
        ValueError: unknown models, data that cannot be read, too few rows.
    """
    asked, seconds, seed = _asked(models), seconds_of(budget), integer("seed", seed)
    steps = None if steps is None else integer("steps", steps, least=1)
    data = x if isinstance(x, Dataset) else load_data(x)
    parts = split_parts(data, context, holdout, seed, limit)
    job = {"seed": seed, "budget": seconds, "steps": steps, "draws": draws, "part": parts.part}
    job |= {"n": 2 * (len(parts.held) // 2), "data": parts.train.describe()}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch if out is None else out)
        found = train_all(asked, job | hand_over(parts, Path(scratch) / "rows"), folder, progress)
    found += [pair for pair in references(parts.train, parts.held, job) if pair[0].name not in asked]
    rows, samples = [row for row, _ in found], {row.name: drawn for row, drawn in found if drawn is not None}
    _judge(rows, samples, parts)
    result = Comparison(rows, _about(data, parts, asked, job), samples, parts.held.x)
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
        for key in sorted(OURS & set(entry)):
            raise ValueError(f"expected {key} once for all models, got it as an option of {label!r}")
        lookup("model", entry["model"])
    return {label: {key: to_json(value, key) for key, value in entry.items()} for label, entry in models.items()}


# -- judging ----------------------------------------------------------------------------------------------------
def _judge(rows: list[Row], samples: dict[str, Tensor], parts: Parts) -> None:
    """Distances, and recognised classes where there are labels; the same way for every row."""
    labels = parts.train.labels
    known = labels is not None and labels.ndim == 1 and len(labels.unique()) > 1 and not parts.train.event.missing
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


def _about(data: Dataset, parts: Parts, asked: Mapping[str, Any], job: Mapping[str, Any]) -> dict[str, Any]:
    """Data, protocol, budget, machine."""
    import fairway

    budget = "default steps" if job["budget"] is None else f"{job['budget']:g} s"
    each = budget if job["steps"] is None else f"{job['steps']:,} step{'s' if job['steps'] != 1 else ''}"
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
        "seed": job["seed"],
        "conditional": parts.context is not None,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "fairway": fairway.__version__,
        "torch": torch.__version__,
    }
