"""Numbers from files: .npy, .npz, .csv, .tsv, .txt (each text file also as .gz) and .parquet.

Nothing that a file holds is ever executed: pickled arrays are refused, text is read as numbers or not at all. Every
refusal says what was expected, what came and what to do. In text files the delimiter (comma, semicolon, tab or
spaces) and the header are recognised by the first lines; an empty cell or NA, NaN, null, ? is a missing value.
"""

import csv
import gzip
import zipfile
import zlib
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.registry import did_you_mean
from fairway.data.memory_map import open_npy
from fairway.data.optional import need

Columns = Sequence[str | int]
Names = tuple[str, ...] | None
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
BROKEN = (EOFError, OSError, MemoryError, RuntimeError, SyntaxError, TokenError, zlib.error, zipfile.BadZipFile)
BOMB = 200  # times its own size: no table of numbers packs so well


def split_key(source: str | PathLike[str]) -> tuple[Path, str | None]:
    """The path and the key of "arrays.npz:key"; the key is None where none is named.

    >>> split_key("runs/arrays.npz:train")[1]
    'train'
    """
    text = str(source)
    head, mark, key = text.rpartition(".npz:")
    if mark and not Path(text).exists():
        return Path(head + ".npz").expanduser(), key
    return Path(text).expanduser(), None


def read_file(source: str | PathLike[str], columns: Columns | None = None) -> tuple[Tensor, Names]:
    """Read one array or table.

    Args:
        source: the path; "arrays.npz:key" names an array in an archive.
        columns: names or numbers of the columns of a table to read; the others may hold text.

    Returns:
        The tensor (n, ...) and the column names, or None where the file has none.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an unknown kind of file, an empty or truncated one, pickled arrays, text, a wrong shape.
        ImportError: .parquet without pandas and pyarrow.
    """
    path, key = split_key(source)
    if not path.is_file():
        raise FileNotFoundError(f"expected a file, got {str(source)!r}, which is none; check the path")
    kind = "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if kind not in READERS:
        hint = "pickled files are refused: save as .npy" if kind in PICKLES else "convert it to one of these"
        raise ValueError(f"expected a file among {', '.join(READERS)}, got {path.name!r}; {hint}")
    if path.stat().st_size == 0:
        raise ValueError(f"expected data in {path}, got an empty file; write it again")
    return READERS[kind](path, columns) if key is None else _read_npz(path, columns, key)


def column_indices(columns: Columns, names: Names, count: int) -> list[int]:
    """Numbers of the chosen columns.

    Raises:
        ValueError: a name without a header, an unknown name, a number out of range, no column at all.

    >>> column_indices(["b", 0], ("a", "b"), 2)
    [1, 0]
    """
    if isinstance(columns, str) or not len(columns):
        raise ValueError(f"expected columns as a list of names or numbers, got {columns!r}")
    return [_column_index(column, names, count) for column in columns]


def _column_index(column: str | int, names: Names, count: int) -> int:
    if isinstance(column, int):
        if not 0 <= column < count:
            raise ValueError(f"expected column numbers in 0..{count - 1}, got {column}")
        return column
    if names is None:
        raise ValueError(f"expected column numbers for data without column names, got {column!r}")
    if column not in names:
        raise ValueError(f"expected columns of the table, got {column!r}{did_you_mean(column, list(names))}")
    return names.index(column)


def _shaped(array: np.ndarray, names: Names, columns: Columns | None, path: Path) -> tuple[Tensor, Names]:
    """A numeric array with a batch axis, in the machine's byte order, its columns chosen."""
    if array.dtype.hasobject:
        raise ValueError(_pickled(path))
    if array.ndim == 0 or (array.ndim == 1 and array.dtype.kind == "f"):
        raise ValueError(
            f"expected an array (n, d) or images (n, h, w) in {path}, got shape {array.shape}; save x[:, None]"
        )
    if columns is not None:
        if array.ndim != 2:
            raise ValueError(f"expected a table (n, d) in {path} to choose columns from, got shape {array.shape}")
        array = array[:, column_indices(columns, names, array.shape[1])]
    return as_tensor(array.astype(array.dtype.newbyteorder("="), copy=False), path.name), names


# -- arrays -----------------------------------------------------------------------------------------------------
def _pickled(path: Path) -> str:
    return f"expected numbers in {path}, got a pickled array: pickles can run code and are refused; save plain numbers"


def _broken(path: Path, error: Exception) -> str:
    return f"expected a whole {''.join(path.suffixes)} file, got a truncated or damaged {path} ({error}); copy it again"


def _read_npy(path: Path, columns: Columns | None) -> tuple[Tensor, Names]:
    with path.open("rb") as file:
        return _shaped(_parse_npy(file, path), None, columns, path)


def map_file(path: Path) -> np.memmap[Any, Any]:
    """A .npy file as an array whose memory is the file, never written to.

    Raises:
        ValueError: a truncated or damaged file, or a pickled array.
    """
    with path.open("rb") as file:
        if file.read(1) == b"\x80":
            raise ValueError(_pickled(path))
    try:
        return open_npy(path)
    except (ValueError, *BROKEN) as error:
        pickled = "Python objects" in str(error)
        raise ValueError(_pickled(path) if pickled else _broken(path, error)) from error


def _parse_npy(file: Any, path: Path) -> np.ndarray:
    """One array from an open .npy stream; the magic bytes tell a pickle from a damaged file."""
    if file.peek(1)[:1] == b"\x80":
        raise ValueError(_pickled(path))
    try:
        return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, *BROKEN) as error:
        pickled = "allow_pickle" in str(error)
        raise ValueError(_pickled(path) if pickled else _broken(path, error)) from error


def _read_npz(path: Path, columns: Columns | None, key: str | None = None) -> tuple[Tensor, Names]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            with archive.open(members[_choose_key(list(members), key, path)]) as file:
                return _shaped(_parse_npy(file, path), None, columns, path)
    except BROKEN as error:
        raise ValueError(_broken(path, error)) from error


def _choose_key(keys: list[str], key: str | None, path: Path) -> str:
    if key is not None and key not in keys:
        raise ValueError(f"expected an array of {path}, got {key!r}{did_you_mean(key, keys)}")
    if key is None and len(keys) != 1:
        raise ValueError(
            f"expected one array in {path}, got {len(keys)}: {', '.join(keys[:20]) or 'none'}; "
            f"name one, as in {path.name}:{keys[0] if keys else 'key'}"
        )
    return keys[0] if key is None else key


def _read_parquet(path: Path, columns: Columns | None) -> tuple[Tensor, Names]:
    need("pyarrow", f"the file {path.name}")
    pandas = need("pandas", f"the file {path.name}")
    try:
        frame = pandas.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:
        raise ValueError(_broken(path, error)) from error
    if columns is not None:
        frame = frame.iloc[:, column_indices(columns, tuple(map(str, frame.columns)), frame.shape[1])]
    kinds = {getattr(dtype, "kind", "O") for dtype in frame.dtypes}
    if kinds <= set("fiub") and (len(kinds) > 1 or frame.isna().to_numpy().any()):
        frame = frame.astype("float64")
    return as_tensor(frame, path.name), tuple(map(str, frame.columns))


# -- text -------------------------------------------------------------------------------------------------------
def _read_text(path: Path, columns: Columns | None) -> tuple[Tensor, Names]:
    """A numeric table: numpy's parser where it can, else one that knows missing cells and names the cell at fault."""
    lines = [(i, line) for i, line in enumerate(_lines(path), 1) if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise ValueError(f"expected rows of numbers in {path}, got none; write it again")
    delimiter = _delimiter(lines[0][1])
    first, *second = _cells(lines[:2], delimiter, path)
    header = _is_header(first, second[0] if second else None)
    names = tuple(name.strip() or f"column_{i}" for i, name in enumerate(first)) if header else None
    body = lines[header:]
    if not body:
        raise ValueError(f"expected rows of numbers under the header of {path}, got none; write it again")
    index = list(range(len(first))) if columns is None else column_indices(columns, names, len(first))
    table = _parse_whole(body, delimiter, len(first)) if columns is None else None
    if table is None:
        table = np.array(_parse_rows(body, delimiter, index, names, len(first), path))
    return as_tensor(table, path.name), None if names is None else tuple(names[i] for i in index)


def _lines(path: Path) -> list[str]:
    try:
        data = _unpacked(path) if path.suffix.lower() == ".gz" else path.read_bytes()
        return data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"expected text in {path}, got other bytes ({error.reason}); save it as UTF-8") from error
    except BROKEN as error:
        raise ValueError(_broken(path, error)) from error


def _unpacked(path: Path) -> bytes:
    """A .gz file's bytes, as long as they can be a table."""
    most = max(BOMB * path.stat().st_size, 2**26)
    with gzip.open(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"expected a packed table in {path}, got more than {BOMB} times its size: unpack it yourself")
    return data


def _delimiter(line: str) -> str | None:
    return next((mark for mark in (",", ";", "\t") if mark in line), None)


def _cells(lines: list[tuple[int, str]], delimiter: str | None, path: Path) -> list[list[str]]:
    """The cells of numbered lines; quotes are understood, a cell does not span lines."""
    if delimiter is None:
        return [line.split() for _, line in lines]
    try:
        return [next(csv.reader([line], delimiter=delimiter)) for _, line in lines]
    except csv.Error as error:
        raise ValueError(f"expected a table in {path}, got other bytes ({error}); save it as text") from error


def _is_header(first: list[str], second: list[str] | None) -> bool:
    """Text above a number, or nothing but text."""
    text = [not _is_number(cell) for cell in first]
    below = [_is_number(cell) for cell in second or []]
    return all(text) or any(above and number for above, number in zip(text, below, strict=False))


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _number(cell: str) -> float:
    """A cell's value, NaN where it is missing; ValueError for text (and for Python's 1_000)."""
    cell = cell.strip()
    if cell.lower() in MISSING:
        return float("nan")
    if "_" in cell:
        raise ValueError(cell)
    return float(cell)


def _parse_whole(body: list[tuple[int, str]], delimiter: str | None, width: int) -> np.ndarray | None:
    """numpy's fast parser; None where it meets text, a missing cell or a ragged line."""
    try:
        table = np.loadtxt([line for _, line in body], delimiter=delimiter, quotechar='"', comments=None, ndmin=2)
    except ValueError:
        return None
    return table if table.shape[1] == width else None


def _parse_rows(
    body: list[tuple[int, str]], delimiter: str | None, index: list[int], names: Names, width: int, path: Path
) -> list[list[float]]:
    """The chosen cells of each row; the error names the first line and column at fault."""
    rows = []
    for (line, _), cells in zip(body, _cells(body, delimiter, path), strict=True):
        if len(cells) != width:
            raise ValueError(f"expected {width} cells in every line of {path}, got {len(cells)} in line {line}; fix it")
        rows.append([_cell(cells[i], line, names[i] if names else i, path) for i in index])
    return rows


def _cell(cell: str, line: int, column: str | int, path: Path) -> float:
    try:
        return _number(cell)
    except ValueError:
        raise ValueError(
            f"expected numbers in {path}, got text {cell.strip()[:40]!r} in line {line}, column {column!r}; "
            "encode it as integers, or leave the column out with columns=[...]"
        ) from None


READERS: dict[str, Callable[[Path, Columns | None], tuple[Tensor, Names]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".csv": _read_text,
    ".csv.gz": _read_text,
    ".tsv": _read_text,
    ".tsv.gz": _read_text,
    ".txt": _read_text,
    ".txt.gz": _read_text,
    ".parquet": _read_parquet,
}
PICKLES = frozenset({".pkl", ".pickle", ".pt", ".pth", ".joblib"})
