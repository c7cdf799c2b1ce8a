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
LEARNT = ("model.", "best.")  # prefixes of what no run leaves without numbers


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
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for key, value in tensors.items():
        if key.startswith(prefix):
            index, _, entry = key.removeprefix(prefix).partition(".")
            state.setdefault(int(index), {})[entry] = _laid_out(value, parameters[int(index)])
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _laid_out(moment: Tensor, parameter: Tensor) -> Tensor:
    """A copy of a moment in its parameter's memory layout (channels last, say), which fused steps take for granted."""
    if moment.shape != parameter.shape or moment.stride() == parameter.stride():
        return moment.clone()
    return torch.empty_like(parameter, dtype=moment.dtype).copy_(moment)


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
    tensors, counters = read_tensors(place), _counters(place)
    broken = [name for name, value in tensors.items() if name.startswith(LEARNT) and bool(torch.isnan(value).any())]
    if broken:
        raise BrokenFolder(f"{broken[0]} in {place} holds values that are not numbers: no run goes on from there")
    return tensors, counters


def _counters(place: Path) -> dict[str, Any]:
    text = read_note(place, COUNTERS)
    try:
        counters = json.loads(text)
    except (ValueError, RecursionError):
        counters = None
    plan = counters.get("plan") if isinstance(counters, dict) else None
    if not isinstance(plan, dict) or not _counts(
        counters.get("step", 0), plan.get("stage", 0), plan.get("threads") or 1
    ):
        raise BrokenFolder(f"{place} is not a checkpoint")
    return counters


def _counts(*values: Any) -> bool:
    """Whether all are whole numbers from 0 on (of steps, stages or threads, which are never many)."""
    return all(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 for value in values)
