"""Array-likes in, tensors out: one door for numpy, torch, pandas, lists.

Nothing is cast silently except to a tensor of the same meaning: floats keep their precision (so that a column of
scale 1e-3 at 1e5 survives until it is standardised), integers become int64, booleans stay booleans, and text or
pickled objects are refused with the column's name.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_tensor(x: Any, what: str = "x") -> Tensor:
    """Turn an array-like into a detached-from-nothing tensor (a tensor passes through, gradients and all).

    Args:
        x: numpy array, torch tensor, pandas frame or series, (nested) list of numbers.
        what: the name to use in the error.

    Raises:
        ValueError: text, objects, ragged lists, an empty array: says which column and what to do.
    """
    if isinstance(x, Tensor):
        return _refuse_empty(x, what)
    if hasattr(x, "columns") and hasattr(x, "dtypes"):
        _refuse_text_columns(x, what)
        x = x.to_numpy()
    elif hasattr(x, "to_numpy"):
        x = x.to_numpy()
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"expected {what} as a rectangular array, got a ragged list; pad or cut the rows") from error
    if array.dtype.kind not in "fiub":
        raise ValueError(f"expected {what} as numbers, got dtype {array.dtype}; encode text as integers or drop it")
    if array.dtype == np.uint64 and array.size and int(array.max()) >= 2**63:
        raise ValueError(f"expected integers of {what} below 2**63, got {int(array.max())}; divide, or use floats")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    return _refuse_empty(torch.from_numpy(np.array(array, order="C")), what)


def _refuse_empty(x: Tensor, what: str) -> Tensor:
    if x.numel() == 0:
        raise ValueError(f"expected {what} with at least one row and one column, got an empty array {tuple(x.shape)}")
    return x


def _refuse_text_columns(frame: Any, what: str) -> None:
    kinds = {str(name): getattr(dtype, "kind", "O") for name, dtype in frame.dtypes.items()}
    text = [name for name, kind in kinds.items() if kind not in "fiub"]
    if text:
        raise ValueError(
            f"expected {what} as a numeric table, got text or objects in column(s) {', '.join(map(repr, text[:5]))}; "
            "encode them as integers or drop them (tables of mixed kinds are not supported yet)"
        )
