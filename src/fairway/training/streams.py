"""Rows of a stream as a table: read when they are needed, in an order that the seed and the epoch decide.

A run looks at a stream through four windows: batches, in the stream's own order; some thousand training rows in
memory, chosen by the seed, on which units are measured and which objectives see before they start; the held-out rows,
chosen likewise, at most 4,096; and nothing else. What needs all rows at once is refused.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.data.streaming import SAMPLE, Reader, Stream
from fairway.training.split import SPLIT, Split
from fairway.training.table import Table

SOME = 23  # stream of the fit's seed


def split_stream(stream: Stream, held: int, seed: int, labels: bool, device: torch.device) -> "StreamSplit":
    """A stream with rows held out, at most as many as memory should hold.

    Args:
        held: how many rows. seed: of the choice.
        labels: whether a row's label is its context. device: where rows are wanted.
    """
    held = min(held, SAMPLE, len(stream) - 1)
    without = stream.choose(held, seed, SPLIT) if held > 0 else torch.empty(0, dtype=torch.long)
    some = stream.choose(min(SAMPLE + len(without), len(stream)), seed, SOME)
    train = StreamTable(stream, without, Table(torch.empty(0)), labels, device)
    train.some = rows_of(train, *stream.read(some[~torch.isin(some, without)]))
    held_out = rows_of(train, *stream.read(without)) if len(without) else None
    return StreamSplit(train, train, held_out)


class StreamSplit(Split):
    """Parts of a stream; units are measured on the training rows that are in memory."""

    def measured(self, name: str, device: torch.device) -> Iterable[Tensor]:
        return [getattr(self.train.some, name)]


@dataclass
class StreamTable:
    """The training rows of a stream.

    Args:
        stream: where they come from. without: (m,) sorted numbers of the rows that are held out.
        some: a few thousand of them, in memory.
        labels: whether a row's label is its context. device: where rows are wanted.
        map: as in `Table`; a stream has neither contexts nor weights beside its rows.
    """

    stream: Stream
    without: Tensor
    some: Table
    labels: bool
    device: torch.device
    map: Callable[[Tensor], Tensor] | None = None
    context: None = None
    weight: None = None

    def __len__(self) -> int:
        return len(self.stream) - len(self.without)

    def first(self, n: int | None) -> Table:
        """Some of the training rows: at most as many as are held in memory.

        Raises:
            ValueError: all of them are wanted, as by a solver.
        """
        if n is None:
            raise ValueError(
                f"expected data in memory for what learns from all {len(self)} rows at once (a solver, say), got the "
                f"stream {self.stream.name}; load it, or take a model that learns from batches"
            )
        rows = self.some if n >= len(self.some) else self.some.rows(torch.arange(n))
        return Table(rows.x, rows.context, None, self.map)

    def reader(self, seed: int, size: int, share: tuple[int, int]) -> "_Parts":
        """The endless sequence of this process's parts of batches."""
        return _Parts(self, self.stream.reader(seed, size, share, self.without))


class _Parts:
    """Batch k as rows of a table."""

    def __init__(self, table: StreamTable, reader: Reader) -> None:
        self.table, self._reader = table, reader

    def __call__(self, k: int) -> Table:
        return rows_of(self.table, *self._reader(k))


def rows_of(table: Any, x: Tensor, labels: Tensor | None) -> Table:
    """What was read, on the device where it is wanted."""
    context = labels.to(table.device) if table.labels and labels is not None else None
    return Table(x.to(table.device), context, None, table.map)
