"""Whose folder it is: what a fresh start may replace, and what it must leave alone.

    missing, empty, or without a name that a run would write    free
    a start of the same run (training/started.json)             replaced: the same seed gives the same run again
    the model that this run goes on from (`init=`)              replaced: training/ keeps a copy
    another run, a saved model, anybody's own files             refused, untouched

Nothing but a run's own files is ever removed, by name: notes and pictures beside them stay, and no folder is emptied
through a link.
"""

from pathlib import Path
from typing import Any

from fairway.training.files import BrokenFolder, read_json, sweep

TRAINING = Path("training")
STARTED = TRAINING / "started.json"
WRITTEN = ("config.json", "weights.safetensors", "data.json", "metrics.jsonl", "card.md", "training")
RESUMED_FROM = ("*.json", "*.safetensors")


def claim(folder: Path, entry: dict[str, Any]) -> None:
    """Make sure that a run may start afresh in a folder.

    Args:
        entry: the identity of the run.

    Raises:
        FileExistsError: it would overwrite what is not an earlier start of the same run.
    """
    there = [name for name in WRITTEN if (folder / name).exists() or (folder / name).is_symlink()]
    if there == ["training"] and (folder / TRAINING).is_dir() and not any((folder / TRAINING).iterdir()):
        return
    if there and _started(folder) != entry and not _goes_on_from(folder, entry):
        whose = "another run or model" if _ours(folder) else "files of something else"
        raise FileExistsError(f"{folder} holds {whose} ({', '.join(there)}): choose another folder, or move these away")


def clear(folder: Path) -> None:
    """Remove what a resume would pick up, and nothing else."""
    for pattern in RESUMED_FROM:
        for left in (folder / TRAINING).glob(pattern):
            left.unlink()
    sweep(folder / TRAINING)


def refuse_foreign(folder: Path) -> None:
    """Keep a model from being saved over somebody's own config.json.

    Raises:
        FileExistsError: there is one that this library did not write.
    """
    path = folder / "config.json"
    if (path.exists() or path.is_symlink()) and not _ours(folder):
        raise FileExistsError(f"{path} is something else's: choose another folder, or move it away")


def _started(folder: Path) -> Any:
    try:
        return read_json(folder / STARTED)
    except BrokenFolder:
        return None


def _goes_on_from(folder: Path, entry: dict[str, Any]) -> bool:
    """Whether the folder's model is the one that this run begins from."""
    from fairway.training.transfer import source_of

    try:
        return bool(entry.get("init")) and source_of(folder).digest == entry["init"]["digest"]
    except BrokenFolder:
        return False


def _ours(folder: Path) -> bool:
    """Whether a folder's files look like a run's."""
    if _started(folder) is not None:
        return True
    try:
        config = read_json(folder / "config.json")
    except BrokenFolder:
        return False
    return isinstance(config, dict) and {"format", "fairway", "model"} <= set(config)
