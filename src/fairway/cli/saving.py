"""Rows to a file, in the format its name says: .npy, .npz, .csv, .png; whole or absent."""

import io
from pathlib import Path
from typing import Any

import numpy as np

FORMATS = (".npy", ".npz", ".csv", ".png")


def save_rows(path: Any, rows: Any, event: Any = None, real: Any = None) -> Path:
    """Write rows (n, *E).

    Raises:
        ValueError: another suffix.
    """
    from fairway.training.files import write_bytes

    path = Path(path)
    array = np.asarray(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        write_bytes(path, _picture(array, event, real))
    elif path.suffix in (".npy", ".npz", ".csv"):
        write_bytes(path, _bytes(array, path.suffix))
    else:
        raise ValueError(f"expected a file name ending in {', '.join(FORMATS)}; got {path.name!r}")
    return path


def _bytes(array: Any, suffix: str) -> bytes:
    buffer = io.BytesIO()
    if suffix == ".npy":
        np.save(buffer, array, allow_pickle=False)
    elif suffix == ".npz":
        np.savez_compressed(buffer, x=array)
    else:
        text = io.StringIO()
        flat = array.reshape(len(array), -1)
        np.savetxt(text, flat, delimiter=",", fmt="%d" if flat.dtype.kind in "iu" else "%.9g")
        return text.getvalue().encode()
    return buffer.getvalue()


def _picture(array: Any, event: Any, real: Any) -> bytes:
    from fairway.report.pictures import picture, png

    return png(picture(array, event, array if real is None else real))
