"""Rows to learn from and rows to watch, by a seed; and what units are measured on.

    rows of the data set  =  training rows  +  held-out rows (where something is monitored on them)

Of a table of more than a chunk, units are measured in the order in which the rows lie, chunk by chunk, whether it is in
memory or on disk: the units of a mapped file are those of the same array in memory, in every bit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.core.extent import chunks, rows_per_chunk
from fairway.data.order import Shuffle, permutation
from fairway.training.table import Table

SPLIT = 22  # stream of the fit's seed


@dataclass
class Split:
    """All rows, and the parts of them.

    Args:
        table: all rows. train, held_out: the parts. held: the numbers of the rows held out.
    """

    table: Any
    train: Any
    held_out: Table | None = None
    held: Tensor | Shuffle | None = None

    def measured(self, name: str, device: torch.device) -> Iterable[Tensor]:
        """The training rows of "x" or "context", as runs of rows that can be gone through more than once."""
        whole = getattr(self.table, name)
        if len(whole) > rows_per_chunk(whole):
            return _Kept(whole, self._kept(), device)
        train = self.train if self.train.device is None else self.train.rows(torch.arange(len(self.train)))
        return [getattr(train, name)]

    def _kept(self) -> Tensor:
        """Which rows are learned from: (n,) booleans, set a chunk at a time."""
        kept = torch.ones(len(self.table), dtype=torch.bool)
        if self.held is not None:
            for index in torch.arange(len(self.held)).split(1 << 20):
                kept[self.held[index]] = False  # type: ignore[index]
        return kept


@dataclass
class _Kept:
    """Chunks of rows in the order in which they lie, without those held out."""

    rows: Tensor
    kept: Tensor
    device: torch.device

    def __iter__(self) -> Iterator[Tensor]:
        step = rows_per_chunk(self.rows)
        for chunk, kept in zip(chunks(self.rows), self.kept.split(step), strict=True):
            yield chunk[kept.to(chunk.device)].to(self.device)


def split(table: Table, held: int, seed: int) -> Split:
    """A table with so many rows held out.

    Args:
        held: how many; nothing is held out where none would be left. seed: of the choice.
    """
    if not held or len(table) - held < 1:
        return Split(table, table)
    order = permutation(len(table), seed, SPLIT)
    return Split(table, table.part(order[held:]), table.part(order[:held]), order[:held])
