"""Rows to a file, in the format its name says: .npy, .npz, .csv, .png; whole or absent."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

FORMATS = (".npy", ".npz", ".csv", ".png")


def check_path(path: Any, formats: Sequence[str] = FORMATS) -> None:
    """Refuse a file name before hours are spent on what should go there; None is fine.

    Raises:
        ValueError: another suffix, or a folder.
    """
    if path is None:
        return
    if Path(path).suffix not in formats:
        raise ValueError(f"expected a file name ending in {', '.join(formats)}; got {Path(path).name!r}")
    if Path(path).is_dir():
        raise ValueError(f"expected a file name, got the folder {str(path)!r}")


def save_rows(path: Any, rows: Any, event: Any = None, real: Any = None) -> Path:
    """Write rows (n, *E).

    Args:
        path: its suffix says the format. rows: array-like.
        event: of the rows, for a picture. real: rows (m, *E) whose range the picture shows; the samples' own if None.

    Raises:
        ValueError: another suffix, or a picture without an event.
    """
    from fairway.training.files import write_bytes

    path, array = Path(path), np.asarray(rows)
    check_path(path, FORMATS if event is not None else FORMATS[:-1])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, _picture(array, event, real) if path.suffix == ".png" else _bytes(array, path.suffix))
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
