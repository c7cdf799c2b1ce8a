"""Where the files of a named dataset lie: in `folder=` or `$FAIRWAY_DATA`, directly or in a subfolder.

SHA-256 digests are checked where they are known, so that a number refers to known bytes.

>>> [str(place) for place in places_in("data", "mnist")]
['data/mnist', 'data']
"""

import hashlib
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

Folder = str | PathLike[str] | None


def locate(name: str, files: Mapping[str, str | None], origin: str, folder: Folder, *inside: str) -> list[Path]:
    """The files of a dataset, found and checked against their digests.

    Args:
        name: of the dataset, for errors.
        files: names and their SHA-256 digests (hex), None where unknown.
        origin: where to get them.
        folder: where to look, after the subfolders `inside` of it; default $FAIRWAY_DATA.

    Raises:
        FileNotFoundError: a file is absent; says which, where it is looked for and where to get it.
        ValueError: a file has another digest.
    """
    places = places_in(folder, *inside)
    found = {file: next((place / file for place in places if (place / file).is_file()), None) for file in files}
    absent = [file for file, path in found.items() if path is None]
    if absent:
        where = "in " + " or ".join(map(str, reversed(places))) if places else "(FAIRWAY_DATA is not set)"
        raise FileNotFoundError(
            f"expected the files of {name} {where}, found no {', '.join(absent)}; get them from {origin} and "
            "set FAIRWAY_DATA to their folder (export FAIRWAY_DATA=/path/to/data) or pass folder="
        )
    paths = [path for path in found.values() if path is not None]
    for path in paths:
        check_digest(path, files[path.name])
    return paths


def places_in(folder: Folder, *inside: str) -> list[Path]:
    """Where to look: the subfolders first, then the folder itself; nowhere if none is given."""
    given = folder or os.environ.get("FAIRWAY_DATA")
    return [Path(given).expanduser() / place for place in (*inside, "")] if given else []


def check_digest(path: Path, expected: str | None) -> None:
    """Refuse a file with another SHA-256 digest; None passes.

    Raises:
        ValueError: it has another one.
    """
    if expected is None:
        return
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != expected:
        raise ValueError(
            f"expected {path} with SHA-256 {expected[:12]}..., got {got[:12]}...; "
            "it is truncated or another version: download it again"
        )
