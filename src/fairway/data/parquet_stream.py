"""A table in parquet files ("shards"), read a few row groups at a time.

Parquet keeps rows in groups that can only be read whole. In every epoch the groups of all files are put into a new
order; runs of them that hold some 65,536 rows are a *buffer*, and the rows of a buffer are shuffled:

    order     groups in any order, rows in any order within a buffer: a function of (seed, epoch)
    memory    a buffer holds at least one group; each worker reads one buffer ahead
    digest    the files' names and sizes, and their footers: columns, rows, groups, and the statistics of each column
    check     values are checked as they are read; what is wrong ends the run and names the file

A run that goes on reads its buffer and none before it. Of processes that share batches, each reads every buffer.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from fairway.core.event import Event
from fairway.data.buffers import Buffers, joined
from fairway.data.files import Columns
from fairway.data.order import permutation
from fairway.data.shards import Shards
from fairway.data.streaming import SAMPLE, About, Rows, Stream

SPREAD = 16  # groups that rows in memory are taken from


class ParquetStream(Stream):
    """Rows (d,) of a table in parquet files.

    Args:
        paths: the files, in order. about: the table's name.
        columns: which ones to keep (all but the labels by default). labels: the column of class labels.
        event: the support; by default inferred from rows all over the table, and the footers.

    Raises:
        ValueError: damaged files, files that differ in their columns, text columns.
        ImportError: pyarrow is not installed.
    """

    def __init__(
        self,
        paths: list[Path],
        about: About,
        columns: Columns | None = None,
        labels: str | None = None,
        event: Event | None = None,
    ) -> None:
        super().__init__(about)
        self.shards = Shards(paths, columns, labels)
        self.groups = self.shards.groups
        self.column_names = self.shards.columns
        self._starts = torch.tensor([0, *accumulate(group.rows for group in self.groups)])
        if labels is not None:
            self.label_event = Event((), "category", levels=self.shards.levels())
        self.event = event or self._inferred()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def parts(self) -> Iterable[tuple[str, bytes]]:
        return self.shards.footers()

    def _inferred(self) -> Event:
        """From rows all over the table; whole numbers take their range from the footers, where it is known."""
        x = torch.cat([rows for rows, _ in self._pick(self.choose(min(SAMPLE, len(self)), 0))])
        event, known = Event.infer(x, self.name), self.shards.range()
        if event.kind not in ("integer", "binary") or known is None or x.dtype == torch.bool:
            return event
        low, high = known
        if (low, high) == (0, 1) or event.levels == 256:
            return event
        return Event(event.shape, "integer", low=low, high=high, missing=event.missing)

    def choose(self, count: int, *key: int) -> Tensor:
        order = permutation(len(self.groups), *key)[torch.arange(len(self.groups))].tolist()  # type: ignore[union-attr]
        quota = -(-count // min(SPREAD, len(self.groups)))
        if sum(min(group.rows, quota) for group in self.groups) < count:
            quota = count
        chosen, left = [], count
        for g in order:
            rows = self.groups[g].rows
            take = min(quota, rows, left)
            part = permutation(rows, *key, g)[torch.arange(take)]
            chosen.append(part + self._starts[g])  # type: ignore[operator]
            left -= take
            if not left:
                break
        return torch.cat(chosen).sort().values

    def read(self, index: Tensor) -> Rows:
        return joined(list(self._pick(index, self.event)))

    def _pick(self, index: Tensor, event: Event | None = None) -> Iterator[Rows]:
        """Sorted rows, group by group."""
        group = torch.searchsorted(self._starts, index, right=True) - 1
        for g in group.unique().tolist():
            x, labels = self._group(g, event)
            where = index[group == g] - self._starts[g]
            yield x[where], None if labels is None else labels[where]

    def _group(self, g: int, event: Event | None) -> Rows:
        group = self.groups[g]
        x, labels = self.shards.read(group)
        if event is not None:
            event.check_rows(x, f"{group.path} (row group {group.number})")
        return x, labels

    def reader(self, seed: int, size: int, share: tuple[int, int], without: Tensor) -> Buffers:
        left_out = (torch.searchsorted(self._starts, without, right=True) - 1).bincount(minlength=len(self.groups))
        sizes = [group.rows - out for group, out in zip(self.groups, left_out.tolist(), strict=True)]

        def read(g: int) -> Rows:
            x, labels = self._group(g, self.event)
            start, kept = int(self._starts[g]), torch.ones(len(x), dtype=torch.bool)
            kept[without[(without >= start) & (without < start + len(x))] - start] = False
            return x[kept], None if labels is None else labels[kept]

        return Buffers(read, sizes, seed, size, share, self.about.workers)
