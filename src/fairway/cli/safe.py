"""A configuration file, read and judged before any parser sees it.

A file is data: names that the tables hold, numbers, words. A dotted or slashed name where a part is named, and any
`class_path` or `init_args`, are refused, because parsers of command lines import and run what such entries say.
"""

from pathlib import Path
from typing import Any

from fairway.core.registry import HOMES
from fairway.training.files import BrokenFolder, read_json

REFUSED = ("class_path", "init_args", "dict_kwargs", "__class__", "py/object")
DEPTH = 32
LARGEST = 2**24  # no size of a model (units, components, layers) is beyond


def read_config_file(path: Any) -> dict[str, Any]:
    """The entries of a config.json, checked.

    Raises:
        BrokenFolder: not JSON, or not a configuration.
        ValueError: it names classes, or parts by anything but a plain name.
    """
    path = Path(path)
    path = path / "config.json" if path.is_dir() else path
    data = read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("model"), str):
        raise BrokenFolder(f"{path} does not describe a model")
    refuse(data, str(path))
    for key in ("arguments", "fit", "objective"):
        empty = key == "objective" and data.setdefault(key, {}) is None
        if not empty and not isinstance(data.setdefault(key, {}), dict):
            raise BrokenFolder(f"{path} has an entry {key!r} that is no table of options")
    _refuse_huge({key: value for key, value in data["arguments"].items() if "event" not in key}, str(path))
    learner = data["objective"] or {}
    if learner and not isinstance(learner.get("objective"), str):
        raise ValueError(f"{path} was trained by an objective of one's own: only Python can hand it over")
    return data


def _refuse_huge(data: Any, where: str) -> None:
    """A size that no memory holds is refused before a constructor tries."""
    entries = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    for entry in entries:
        _refuse_huge(entry, where)
    if isinstance(data, int) and data > LARGEST:
        raise ValueError(f"{where} asks for a size of {data:.3g}: expected at most {LARGEST}") from None


def refuse(data: Any, where: str, depth: int = 0) -> None:
    """Raise where an entry could name code.

    Raises:
        ValueError: names the entry.
    """
    if depth > DEPTH:
        raise ValueError(f"{where} is nested deeper than {DEPTH} levels: not a configuration")
    if isinstance(data, list):
        for entry in data:
            refuse(entry, where, depth + 1)
    if not isinstance(data, dict):
        return
    for key, value in data.items():
        if key in REFUSED:
            raise ValueError(f"{where} has an entry {key!r}: a configuration names registered parts, never classes")
        if key in HOMES and isinstance(value, str) and not value.isidentifier():
            raise ValueError(f"{where} names a {key} {value!r}: expected a registered name, without dots or slashes")
        refuse(value, where, depth + 1)
