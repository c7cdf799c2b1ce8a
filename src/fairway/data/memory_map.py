"""Arrays that stay on disk: a file's pages are mapped, and only those that a computation touches are read.

A mapped array is a tensor like any other, whose memory is the file. What needs all rows goes through them in chunks, a
batch copies its own rows, and the rest of the file never has to be in memory at once. The file is never written to:
it is mapped copy-on-write, or read-only as the array that was given.

>>> import numpy as np
>>> import tempfile, pathlib
>>> path = pathlib.Path(tempfile.mkdtemp()) / "x.npy"
>>> np.save(path, np.ones((3, 2), np.float32))
>>> as_mapped(open_npy(path)).shape
torch.Size([3, 2])
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

LARGE = 1 << 30  # bytes; larger .npy files are mapped, larger tables are converted batch by batch
PLAIN = {"bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"}  # what a tensor can hold as it is


def open_npy(path: Path) -> np.memmap[Any, Any]:
    """Map a .npy file; what is written to the array goes to private memory, never to the file.

    Raises:
        ValueError: a truncated or damaged file, or Python objects in it.
        OSError: the file cannot be read.
    """
    return np.lib.format.open_memmap(path, mode="c")


def is_mapped(x: Any) -> bool:
    """Whether an array's memory is a file."""
    return isinstance(x, np.memmap) and getattr(x, "_mmap", None) is not None


def as_mapped(array: np.memmap[Any, Any], what: str = "x") -> Tensor:
    """A tensor over the same memory.

    Raises:
        ValueError: numbers that a tensor cannot hold without a copy, or none at all.
    """
    native = array.dtype.isnative and array.dtype.name in PLAIN
    if not native or any(stride < 0 for stride in array.strides):
        raise ValueError(
            f"expected {what} to be mapped as {', '.join(sorted(PLAIN))} in this machine's byte order, got dtype "
            f"{array.dtype.str} with strides {array.strides}; convert the file, or read it into memory as an array"
        )
    if array.size == 0:
        raise ValueError(f"expected {what} with at least one row and one column, got an empty array {array.shape}")
    with warnings.catch_warnings():  # about tensors over memory that must not be written, which nothing here does
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(np.asarray(array))


def columns_of(x: Tensor, index: list[int], mapped: bool) -> Tensor:
    """Some columns of a table (n, d); of a mapped one without a copy.

    Raises:
        ValueError: columns of a mapped table that do not follow each other.
    """
    if not mapped:
        return x[:, index]
    if index != list(range(index[0], index[0] + len(index))):
        raise ValueError(f"expected columns of a mapped table in a row, as in 3, 4, 5; got {index}; save them apart")
    return x[:, index[0] : index[0] + len(index)]
