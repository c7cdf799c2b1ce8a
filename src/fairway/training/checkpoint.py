"""Snapshots of a run: everything the next step depends on, as named tensors and a few numbers.

Because the data order and all noise are functions of the seed and of counters, a snapshot is weights, averages,
optimiser moments, the objective's buffers and the counters; nothing else. A snapshot on disk is a folder written
under a temporary name and renamed, so that the last good one survives a kill or a full disk.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairway.training.files import BrokenFolder, read_json, read_tensors, replace_folder, write_json, write_tensors

Snapshot = tuple[dict[str, Tensor], dict[str, Any]]


def optimiser_tensors(name: str, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments of an optimiser by player, parameter index and key."""
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{name}.{i}.{key}": value for i, entry in state.items() for key, value in entry.items()}


def load_optimiser(name: str, optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`."""
    prefix, state = f"optimiser.{name}.", dict[int, dict[str, Tensor]]()
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, _, entry = key.removeprefix(prefix).partition(".")
            state.setdefault(int(index), {})[entry] = value.clone()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def write(folder: Path, snapshot: Snapshot) -> None:
    """Write a snapshot as `folder`, whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write_tensors(temporary / "state.safetensors", snapshot[0])
    write_json(temporary / "state.json", snapshot[1])
    replace_folder(temporary, folder)


def read(folder: Path) -> Snapshot | None:
    """The snapshot in `folder`; an interrupted replacement falls back to the one before; None where there is none.

    Raises:
        BrokenFolder: the files are there but damaged.
    """
    for place in (folder, folder.with_name(f".{folder.name}.old")):
        if (place / "state.json").is_file():
            counters = read_json(place / "state.json")
            if not isinstance(counters, dict):
                raise BrokenFolder(f"{place / 'state.json'} is not a checkpoint")
            return read_tensors(place / "state.safetensors"), counters
    return None
