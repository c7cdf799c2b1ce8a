"""A trained classifier as a folder: `classifier.json` (what it is) and `weights.safetensors` (its tensors).

The folder is written under a temporary name and renamed, so that it is there whole or not at all; no pickle.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

FORMAT = 1


def write_folder(folder: Any, about: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    """Write a new folder of two files.

    Raises:
        FileExistsError: something is there already.
    """
    target = Path(folder)
    if target.exists():
        raise FileExistsError(f"expected a new folder, got {target}, which exists; remove it or choose another name")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        (temporary / "classifier.json").write_text(json.dumps({"format": FORMAT} | about, indent=2) + "\n")
        (temporary / "weights.safetensors").write_bytes(
            tensors_to_bytes({key: value.contiguous() for key, value in tensors.items()})
        )
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def read_folder(folder: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `write_folder` wrote.

    Raises:
        FileNotFoundError: a file is missing. ValueError: it cannot be read, or has another format.
    """
    source = Path(folder)
    for name in ("classifier.json", "weights.safetensors"):
        if not (source / name).is_file():
            raise FileNotFoundError(f"expected a stored classifier with {name} in {source}, found no such file")
    try:
        about = json.loads((source / "classifier.json").read_text())
        tensors = tensors_from_bytes((source / "weights.safetensors").read_bytes())
    except (ValueError, SafetensorError) as error:
        raise ValueError(f"expected a stored classifier in {source}, got a broken file: {str(error)[:200]}") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ValueError(f"expected a stored classifier of format {FORMAT} in {source}, got another; train it again")
    return about, tensors
