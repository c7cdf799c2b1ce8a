"""Files that are either whole or absent: write beside, sync, rename."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fairway.core.words import one_line

ALIASES = "aliases"
TEMPORARY = ".tmp"
LARGEST_JSON, MOST_TENSORS = 16 * 2**20, 2**15
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}  # as safetensors names them


class BrokenFolder(ValueError):
    """A run folder that cannot be read: says which file and why, in one line that a terminal can be trusted with.

    Args:
        message: may repeat what the files say.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Within, an error of the system (a full disk knows no names) says which file it was about."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes its name when the block ends, synced, or never (instead of a link, not through it).

    Raises:
        OSError: a full disk, say.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with naming(path):
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make renames last, where a folder can be opened and synced (not on Windows)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sweep(folder: Path) -> None:
    """Remove what a kill left half-written."""
    for left in folder.glob(f".*{TEMPORARY}"):
        left.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    with whole_file(path) as file:
        file.write(data)


def digest_of(tensor: Tensor) -> str:
    """SHA-256 (hex) over a tensor's dtype, shape and bytes."""
    seen = hashlib.sha256(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    seen.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return seen.hexdigest()


def write_json(path: Path, data: Any) -> None:
    """Write JSON, indented, atomically."""
    write_bytes(path, (json.dumps(data, indent=2, allow_nan=True) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON (UTF-8) of at most 16 MiB, in which no entry stands twice.

    Raises:
        BrokenFolder: missing, too large, not JSON.
    """
    size = _size_of(path)
    if size > LARGEST_JSON:
        raise BrokenFolder(f"{path} is larger than {LARGEST_JSON // 2**20} MiB: not a configuration")
    try:
        with path.open("rb") as file:
            return json.loads(file.read(size).decode(), object_pairs_hook=_table)
    except (ValueError, RecursionError, OSError) as error:
        raise BrokenFolder(f"{path} is not valid JSON: {str(error)[:200]}") from None


def _size_of(path: Path) -> int:
    """Bytes of a file: never of a device or a pipe, which have no end and may not even have a beginning."""
    try:
        if path.is_file():
            return path.stat().st_size
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be looked into
        raise BrokenFolder(f"{path} cannot be read: {error}") from None
    raise BrokenFolder(f"expected a file {path.name} in {path.parent}, found none; is this a run folder?")


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The entries of a JSON object; with two of one name each reader would believe another one."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands there twice")
    return table


def write_tensors(path: Path, tensors: dict[str, Tensor], notes: dict[str, str] | None = None) -> None:
    """Write named tensors as safetensors; tensors that share memory are stored once and named as aliases.

    The bytes go from the tensors to the file without a copy in between: a checkpoint is written every few steps.

    Args:
        path: where to.
        tensors: by name.
        notes: short texts by name for the file's header, see `read_note`.
    """
    stored, aliases = _without_aliases(tensors)
    stored = {k: v.detach().cpu().contiguous() for k, v in stored.items()}
    order = sorted(stored, key=lambda name: -stored[name].element_size())  # every tensor starts at its own alignment
    entries: dict[str, Any] = {"__metadata__": {**(notes or {}), ALIASES: json.dumps(aliases), "format": "pt"}}
    end = 0
    for name in order:
        start, end = end, end + stored[name].nbytes
        kind, shape = DTYPES[stored[name].dtype], list(stored[name].shape)
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    head = json.dumps(entries).encode()
    head += b" " * (-len(head) % 8)
    with whole_file(path) as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name in order:
            file.write(stored[name].reshape(-1).view(torch.uint8).numpy().data)


def _without_aliases(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors to store, and the names that mean one of those."""
    stored: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[tuple[Any, ...], str] = {}
    for name, tensor in tensors.items():
        key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if tensor.numel() and key in seen:
            aliases[name] = seen[key]
        else:
            seen[key], stored[name] = name, tensor
    return stored, aliases


def read_note(path: Path, name: str) -> str:
    """A text from the header of a safetensors file.

    Raises:
        BrokenFolder: missing, truncated, not safetensors, or without such a note.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            return str((file.metadata() or {})[name])
    except KeyError:
        raise BrokenFolder(f"{path} says nothing of its {name}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise BrokenFolder(f"{path} is truncated or not a safetensors file: {str(error)[:200]}") from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors.

    Raises:
        BrokenFolder: missing, truncated or not safetensors.
    """
    _size_of(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            names = _few(file.keys())
            tensors = {name: _known(file.get_tensor(name)) for name in names}
            aliases = json.loads((file.metadata() or {}).get(ALIASES, "{}"))
        return {**tensors, **{name: tensors[target] for name, target in aliases.items()}}
    except MemoryError:
        raise BrokenFolder(f"{path} is larger than the memory that is left") from None
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise BrokenFolder(f"{path} is truncated or not a safetensors file: {str(error)[:200]}") from None


def _known(tensor: Tensor) -> Tensor:
    """The tensor, where it is of a type that is written here."""
    if tensor.dtype not in DTYPES:
        raise ValueError(f"a tensor of type {tensor.dtype}")
    return tensor


def _few(names: list[str]) -> list[str]:
    """The names, where there are not more than any model has: each takes its time to read."""
    if len(names) > MOST_TENSORS:
        raise ValueError(f"{len(names)} tensors, expected at most {MOST_TENSORS}")
    return names
