"""Files that are either whole or absent: write beside, sync, rename."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor

ALIASES = "aliases"


class BrokenFolder(ValueError):
    """A run folder that cannot be read: says which file and why."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, sync it, rename it into place (instead of a link, not through it)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def digest_of(tensor: Tensor) -> str:
    """SHA-256 (hex) over a tensor's dtype, shape and bytes."""
    seen = hashlib.sha256(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    seen.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return seen.hexdigest()


def write_json(path: Path, data: Any) -> None:
    """Write JSON, indented, atomically."""
    write_bytes(path, (json.dumps(data, indent=2, allow_nan=True) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON of at most 16 MiB.

    Raises:
        BrokenFolder: missing, too large, not JSON.
    """
    if not path.is_file():
        raise BrokenFolder(f"expected a file {path.name} in {path.parent}, found none; is this a run folder?")
    if path.stat().st_size > 16 * 2**20:
        raise BrokenFolder(f"{path} is larger than 16 MiB: not a configuration")
    try:
        return json.loads(path.read_text())
    except (ValueError, RecursionError, OSError) as error:
        raise BrokenFolder(f"{path} is not valid JSON: {str(error)[:200]}") from None


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write named tensors as safetensors; tensors that share memory are stored once and named as aliases."""
    stored: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[tuple[Any, ...], str] = {}
    for name, tensor in tensors.items():
        key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if tensor.numel() and key in seen:
            aliases[name] = seen[key]
        else:
            seen[key] = name
            stored[name] = tensor.detach().cpu().contiguous().clone()
    write_bytes(path, tensors_to_bytes(stored, metadata={ALIASES: json.dumps(aliases), "format": "pt"}))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors.

    Raises:
        BrokenFolder: missing, truncated or not safetensors.
    """
    if not path.is_file():
        raise BrokenFolder(f"expected a file {path.name} in {path.parent}, found none; is this a run folder?")
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            aliases = json.loads((file.metadata() or {}).get(ALIASES, "{}"))
        return {**tensors, **{name: tensors[target] for name, target in aliases.items()}}
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise BrokenFolder(f"{path} is truncated or not a safetensors file: {str(error)[:200]}") from None


def replace_folder(temporary: Path, target: Path) -> None:
    """Rename a complete temporary folder into place, replacing an old one."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    temporary.rename(target)
    shutil.rmtree(old, ignore_errors=True)
