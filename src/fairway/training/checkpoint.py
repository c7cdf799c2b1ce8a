"""Snapshots of a run: everything the next step depends on, as named tensors and a few numbers.

Because the data order and all noise are functions of the seed and of counters, a snapshot is weights, averages,
optimiser moments, the objective's buffers and the counters; nothing else. On disk it is one file (the counters are in
its header), written under a temporary name, synced and renamed: the last good one survives a kill or a full disk.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fairway.training.files import BrokenFolder, read_note, read_tensors, write_tensors

Snapshot = tuple[dict[str, Tensor], dict[str, Any]]
PLACE = Path("training") / "checkpoint.safetensors"  # in the run folder
COUNTERS = "counters"


class NotWritten(OSError):
    """A checkpoint could not be written; the one before is still there.

    Args:
        run_folder: where. step: of the one that failed.
        error: why.
    """

    def __init__(self, run_folder: Path, step: int, error: OSError) -> None:
        place = run_folder / PLACE
        last = f"its last one is of step {_counters(place)['step']}" if place.is_file() else "it has none yet"
        why = error.strerror or str(error)
        super().__init__(f"the checkpoint of step {step} in {run_folder} was not written ({why}); {last}")
        self.errno = error.errno


def copies(tensors: Mapping[str, Tensor], into: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Copies of tensors that go on to change; the memory of earlier copies is used again where it fits."""
    out = {}
    for name, tensor in tensors.items():
        old, now = (into or {}).get(name), tensor.detach()
        same = old is not None and (old.shape, old.dtype, old.device) == (now.shape, now.dtype, now.device)
        out[name] = old.copy_(now) if same and old is not None else now.clone()
    return out


def module_tensors(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """A module's parameters and buffers under prefixed names, not copied."""
    return {f"{prefix}.{name}": value for name, value in module.state_dict().items()}


def load_module(prefix: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `module_tensors`; a buffer takes the shape and the precision it was saved with."""
    own = {k.removeprefix(f"{prefix}."): v for k, v in tensors.items() if k.startswith(f"{prefix}.")}
    for name, buffer in dict(module.named_buffers()).items():
        if name in own and (buffer.shape, buffer.dtype) != (own[name].shape, own[name].dtype):
            replace_buffer(module, name, own[name])
    module.load_state_dict(own)


def replace_buffer(module: nn.Module, name: str, like: Tensor) -> None:
    """An empty buffer of another shape or precision in the place of the module's own."""
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    device = None if owner._buffers[leaf] is None else owner._buffers[leaf].device  # type: ignore[union-attr]
    owner._buffers[leaf] = torch.empty_like(like, device=device)


def optimiser_tensors(name: str, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments of an optimiser by player, parameter index and key."""
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{name}.{i}.{key}": value for i, entry in state.items() for key, value in entry.items()}


def load_optimiser(name: str, optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`."""
    prefix, state = f"optimiser.{name}.", dict[int, dict[str, Tensor]]()
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, _, entry = key.removeprefix(prefix).partition(".")
            state.setdefault(int(index), {})[entry] = value.clone()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def write(run_folder: Path, snapshot: Snapshot) -> None:
    """Write a snapshot into a run folder, whole or not at all.

    Raises:
        NotWritten: a full disk, say; the snapshot before is still there.
    """
    place = run_folder / PLACE
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(place, snapshot[0], {COUNTERS: json.dumps(snapshot[1])})
    except OSError as error:
        raise NotWritten(run_folder, snapshot[1]["step"], error) from error


def read(run_folder: Path) -> Snapshot | None:
    """The snapshot of a run folder; None where there is none.

    Raises:
        BrokenFolder: the file is there but damaged, or something else.
    """
    place = run_folder / PLACE
    if not place.is_file():
        return None
    return read_tensors(place), _counters(place)


def _counters(place: Path) -> dict[str, Any]:
    text = read_note(place, COUNTERS)
    try:
        counters = json.loads(text)
    except (ValueError, RecursionError):
        counters = None
    if not isinstance(counters, dict) or not isinstance(counters.get("plan"), dict):
        raise BrokenFolder(f"{place} is not a checkpoint")
    return counters
