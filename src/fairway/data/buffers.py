"""Batches from a table on disk: row groups in a new order per epoch, shuffled a buffer of groups at a time.

    epoch:  groups 3 0 | 5 1 | 4 2        buffers of at least 65,536 rows (fewer in the last)
    batch k of process r:  positions (k W + r) B, ..., (k W + r + 1) B - 1 of the endless sequence of epochs

The sizes of the groups are known from the footers, and so is the buffer that a position lies in: nothing before it is
read.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairway.data.loader import Loader
from fairway.data.order import ORDER, permutation

BUFFER = 1 << 16  # rows
Rows = tuple[Tensor, Tensor | None]


class Place(NamedTuple):
    """A buffer: the epoch, and its number there."""

    epoch: int
    number: int


class Epoch(NamedTuple):
    """The groups of each buffer, and the position where it ends."""

    groups: list[list[int]]
    ends: list[int]


class Buffers:
    """The endless sequence of batches; batch k (this process's part of it) by a call.

    Args:
        read: group number -> its rows (those that are learned from) and their labels.
        sizes: rows of each group.
        seed: of the order. size: rows per batch and process.
        share: this process's number and the number of processes that share each batch.
        workers: processes that read ahead.
    """

    def __init__(
        self,
        read: Callable[[int], Rows],
        sizes: Sequence[int],
        seed: int,
        size: int,
        share: tuple[int, int] = (0, 1),
        workers: int = 0,
    ) -> None:
        self.read, self.sizes, self.seed, self.size, self.share = read, sizes, seed, size, share
        self.n = sum(sizes)
        self._load = Loader(self._shuffled, self._requests, workers, ahead=1)
        self._epochs: dict[int, Epoch] = {}
        self._place, self._rows = Place(-1, -1), (torch.empty(0), None)

    def __call__(self, k: int) -> Rows:
        rank, processes = self.share
        start, left, parts = (k * processes + rank) * self.size, self.size, []
        while left:
            part = self._from(start // self.n, start % self.n, left)
            parts.append(part)
            start, left = start + len(part[0]), left - len(part[0])
        return joined(parts)

    def _from(self, epoch: int, position: int, most: int) -> Rows:
        """Rows of an epoch from a position on, out of one buffer."""
        ends = self._epoch(epoch).ends
        place = Place(epoch, bisect_right(ends, position))
        if self._place != place:
            self._place, self._rows = place, self._load(place)
        x, labels = self._rows
        first = len(x) - (ends[place.number] - position)
        return x[first : first + most], None if labels is None else labels[first : first + most]

    def _epoch(self, epoch: int) -> Epoch:
        if epoch not in self._epochs:
            order: Any = permutation(len(self.sizes), self.seed, ORDER, epoch)[torch.arange(len(self.sizes))]
            groups = _runs([g for g in order.tolist() if self.sizes[g]], self.sizes)
            ends = list(accumulate(sum(self.sizes[g] for g in run) for run in groups))
            self._epochs = {e: known for e, known in self._epochs.items() if abs(e - epoch) == 1}
            self._epochs[epoch] = Epoch(groups, ends)
        return self._epochs[epoch]

    def _requests(self, place: Place) -> Iterator[tuple[Place, tuple[Place, list[int]]]]:
        epoch, first = place
        while True:
            for number, groups in enumerate(self._epoch(epoch).groups):
                if number >= first:
                    yield Place(epoch, number), (Place(epoch, number), groups)
            epoch, first = epoch + 1, 0

    def _shuffled(self, request: tuple[Place, list[int]]) -> Rows:
        place, groups = request
        x, labels = joined([self.read(g) for g in groups])
        order: Any = permutation(len(x), self.seed, ORDER, *place, len(groups))[torch.arange(len(x))]
        return x[order], None if labels is None else labels[order]


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of several reads as one."""
    x, labels = zip(*parts, strict=True)
    return torch.cat(x), None if labels[0] is None else torch.cat(labels)


def _runs(order: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """Groups cut into runs of at least BUFFER rows."""
    runs: list[list[int]] = [[]]
    rows = 0
    for group in order:
        if rows >= BUFFER:
            runs.append([])
            rows = 0
        runs[-1].append(group)
        rows += sizes[group]
    return runs
