"""Parquet files with the same columns: what their footers say, and their row groups as tensors.

Columns hold numbers or booleans; a table of one type keeps it (half precision becomes single, unsigned integers int64),
of several it is float64. Nulls become NaN, for which a table must be of floats.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fairway.core.registry import did_you_mean
from fairway.data.files import Columns, column_indices

KINDS = {
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "halffloat",
    "float",
    "double",
}
AS = {"halffloat": "float32", "float": "float32", "double": "float64", "uint16": "int64", "uint32": "int64"}


class Group(NamedTuple):
    """A row group: its file, its number there, and how many rows it has."""

    path: Path
    number: int
    rows: int


class Shards:
    """The row groups of parquet files.

    Args:
        paths: in order. columns: names or numbers of those to keep. labels: a column that is kept apart.

    Raises:
        ValueError: a damaged file, one with other columns than the first, text, no rows, an unknown column.
        ImportError: pyarrow is not installed.
    """

    def __init__(self, paths: Sequence[Path], columns: Columns | None = None, labels: str | None = None) -> None:
        self.paths, self.labels = paths, labels
        footers = [_footer(path) for path in paths]
        schema = footers[0].schema.to_arrow_schema()
        for path, footer in zip(paths, footers, strict=True):
            if not footer.schema.to_arrow_schema().equals(schema):
                raise ValueError(
                    f"expected the columns of {paths[0]} in every file, got others in {path}; write it again"
                )
        self.groups = [
            Group(path, i, footer.row_group(i).num_rows)
            for path, footer in zip(paths, footers, strict=True)
            for i in range(footer.num_row_groups)
            if footer.row_group(i).num_rows
        ]
        if not self.groups:
            raise ValueError(f"expected rows in {paths[0].parent}, got parquet files without any")
        self.columns = self._chosen(tuple(schema.names), columns)
        self.dtype = _dtype_of({name: str(schema.field(name).type) for name in self.columns}, paths[0])

    def _chosen(self, names: tuple[str, ...], columns: Columns | None) -> tuple[str, ...]:
        if self.labels is not None and self.labels not in names:
            near = did_you_mean(self.labels, list(names))
            raise ValueError(f"expected labels= as a column of the table, got {self.labels!r}{near}")
        others = tuple(name for name in names if name != self.labels)
        return others if columns is None else tuple(names[i] for i in column_indices(columns, names, len(names)))

    def read(self, group: Group) -> tuple[Tensor, Tensor | None]:
        """The rows of a group (rows, d), and their labels.

        Raises:
            ValueError: a damaged or changed file, nulls among whole numbers; names the file.
        """
        table = _whole(group.path, lambda: self._table(group))
        if table is None or table.num_rows != group.rows:
            raise ValueError(f"expected {group.rows} rows in row group {group.number} of {group.path}: it changed")
        x = np.stack([self._numbers(table, name, group) for name in self.columns], 1)
        labels = None if self.labels is None else self._numbers(table, self.labels, group, "int64")
        return torch.from_numpy(x), None if labels is None else torch.from_numpy(labels)

    def _table(self, group: Group) -> Any:
        with _parquet().ParquetFile(group.path) as file:
            names = list(dict.fromkeys([*self.columns, *([self.labels] if self.labels else [])]))
            known = group.number < file.num_row_groups
            return file.read_row_group(group.number, columns=names, use_threads=False) if known else None

    def _numbers(self, table: Any, name: str, group: Group, dtype: str | None = None) -> np.ndarray:
        column, dtype = table.column(name), dtype or self.dtype
        if column.null_count and not dtype.startswith("float"):
            raise ValueError(
                f"expected whole numbers in column {name!r} of {group.path}, got nulls in row group {group.number}; "
                "write the column as floats, or drop those rows"
            )
        return column.to_numpy().astype(dtype)

    def footers(self) -> Iterator[tuple[str, bytes]]:
        """Name (below the common folder), and size and footer, of every file."""
        root = (
            self.paths[0].parent if len(self.paths) == 1 else Path(*_common([path.parent.parts for path in self.paths]))
        )
        for path in self.paths:
            yield path.relative_to(root).as_posix(), f"{path.stat().st_size} ".encode() + _footer_bytes(path)

    def range(self) -> tuple[int, int] | None:
        """Smallest and largest value of all columns, where every footer says so."""
        return self._range(self.columns)

    def levels(self) -> int:
        """One more than the largest label.

        Raises:
            ValueError: labels that are not 0, 1, ...
        """
        name = self.labels or ""
        found = self._range((name,))
        if found is None:
            labels = [self.read(group)[1] for group in self.groups]
            found = min(int(part.min()) for part in labels), max(int(part.max()) for part in labels)  # type: ignore[union-attr]
        if found[0] < 0:
            raise ValueError(f"expected class labels 0, 1, ... in column {name!r}, got a negative label {found[0]}")
        return found[1] + 1

    def _range(self, names: Sequence[str]) -> tuple[int, int] | None:
        found = []
        for path in self.paths:
            footer = _footer(path)
            where = [i for i in range(footer.num_columns) if footer.schema.column(i).path in names]
            for g in range(footer.num_row_groups):
                known = [footer.row_group(g).column(i).statistics for i in where]
                if not all(s is not None and s.has_min_max and isinstance(s.min, int | float) for s in known):
                    return None
                found += [value for s in known for value in (s.min, s.max)]
        return int(min(found)), int(max(found))


# -- files ------------------------------------------------------------------------------------------------------
def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "expected the package pyarrow for parquet files, got none; pip install 'fairway[streams]'"
        ) from error
    return pyarrow.parquet


def _whole(path: Path, read: Any) -> Any:
    """What a function reads from a file; ValueError where the file is not whole."""
    try:
        return read()
    except (OSError, ValueError, KeyError, RuntimeError, struct.error) as error:  # pyarrow's errors are among these
        raise ValueError(
            f"expected a whole parquet file, got a truncated or damaged {path} ({error}); copy it again"
        ) from None


def _footer(path: Path) -> Any:
    return _whole(path, lambda: _parquet().read_metadata(path))


def _footer_bytes(path: Path) -> bytes:
    """The footer as it was written: its length stands before the last four bytes of the file."""
    with path.open("rb") as file:
        file.seek(-8, 2)
        length = min(int.from_bytes(file.read(4), "little"), file.tell())
        file.seek(-8 - length, 2)
        return file.read(length)


def _dtype_of(types: dict[str, str], path: Path) -> str:
    """The type of the whole table."""
    text = [name for name, kind in types.items() if kind not in KINDS]
    if text or not types:
        raise ValueError(
            f"expected columns of numbers in {path}, got {types[text[0]]} in column {text[0]!r}; encode it, or choose "
            "columns=[...]"
            if text
            else f"expected columns in {path}, got none"
        )
    kinds = {AS.get(kind, kind) for kind in types.values()}
    return kinds.pop() if len(kinds) == 1 else "float64"


def _common(paths: Sequence[Sequence[str]]) -> list[str]:
    """The folders that paths begin with."""
    same = []
    for level in zip(*paths, strict=False):
        if len(set(level)) > 1:
            break
        same.append(level[0])
    return same
