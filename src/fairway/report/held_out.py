"""Which rows a run never saw: written beside the run, so that a later evaluation asks about those and no others.

    data.json   {..., "part": {"holdout": 0.2, "seed": 0}}      the run was trained on `load(source).split(0.2, 0)[0]`

A holdout of None is the publishers' own test split. The digest in data.json is that of the training part: data that
changed since are refused, because their "held-out" rows may have been trained on.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from fairway.core.event import Event
from fairway.data.dataset import Dataset
from fairway.data.dataset import load as load_data
from fairway.training.files import BrokenFolder, read_json, write_json


def record(folder: Any, holdout: float | None, seed: int) -> None:
    """Add to a run's data.json which part of its source it was trained on."""
    path = Path(folder) / "data.json"
    write_json(path, {**read_json(path), "part": {"holdout": holdout, "seed": seed}})


def read_record(folder: Any) -> dict[str, Any]:
    """The data of a run, as written.

    Raises:
        BrokenFolder: no such record, or not one.
    """
    entry = read_json(Path(folder) / "data.json")
    kinds = {"source": str, "event": dict, "options": dict}
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), kind) for key, kind in kinds.items()):
        raise BrokenFolder(f"{Path(folder) / 'data.json'} does not describe data")
    part = entry.get("part") or {}
    if not isinstance(part, dict) or not isinstance(part.get("seed", 0), int):
        raise BrokenFolder(f"{Path(folder) / 'data.json'} does not describe the part that was held out")
    return entry


def source_of(folder: Any) -> Dataset:
    """The whole data set a run's training part was taken from.

    Raises:
        ValueError: the data were handed over as an array, and cannot be found again.
    """
    entry = read_record(folder)
    if entry["source"] == "array":
        raise ValueError(f"{folder} was trained on an array: name the data to evaluate on")
    return load_data(entry["source"], event=Event.from_dict(entry["event"]), **entry["options"])


def held_out(folder: Any) -> Dataset:
    """The rows of a run's source that it never saw.

    Raises:
        ValueError: nothing was held out, or the data changed since.
    """
    entry = read_record(folder)
    part = entry.get("part")
    if not isinstance(part, dict):
        raise ValueError(f"{folder} was trained on every row of {entry['source']!r}: name held-out data to evaluate on")
    train, held = source_of(folder).split(part.get("holdout"), int(part.get("seed", 0)))
    if entry.get("digest") not in (train.digest, replace(train, labels=None).digest):
        raise ValueError(
            f"the data {entry['source']!r} changed since {folder} was trained: name the data to evaluate on"
        )
    return held
