"""Rows and contexts that do not belong together: two samples, of any lengths, seen side by side.

    x (n, *E), context (m, *C)   ->   row i of N = max(n, m):   x[i mod n], context[order[i mod m]]

Each side is held out from, and its units are measured, on its own rows alone; an order of its own on the contexts' side
undoes what pairing there was. An epoch of N rows shows every row of the longer side once and repeats the shorter one.
No row is copied before a batch asks for it. An objective says that it can learn from this by `matched = False`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.data.order import Sequence, Shuffle, permutation
from fairway.training.split import Split, split
from fairway.training.table import Table

UNPAIRED = 24  # stream of the fit's seed


def refuse_unpaired(learner: Any, context: Any, weights: Any, streams: bool) -> None:
    """Whether this can be learned from two samples.

    Args:
        learner: an objective or a solver. context, weights: as in `fit`. streams: whether rows are read from disk.

    Raises:
        ValueError: says what is in the way.
    """
    if context is None:
        raise ValueError("expected context=... with paired=False (the other sample), got none")
    if getattr(learner, "matched", True):
        raise ValueError(
            f"{learner.name()} learns from rows and contexts that belong together: leave paired=False out; of images, "
            "cycle_gan learns from two samples"
        )
    if weights is not None:
        raise ValueError("expected no weights with paired=False: a weight is of a row and its context together")
    if streams:
        raise ValueError("expected rows in memory or in a mapped file with paired=False, got a stream")


@dataclass
class Unpaired:
    """Two tables as one of as many rows as the longer has.

    Args:
        samples: rows x. contexts: rows of the other sample, as its `x`.
        order: of the contexts. device: where rows are wanted.
        map: as in `Table`.
    """

    samples: Table
    contexts: Table
    order: Tensor | Shuffle
    device: torch.device
    map: Callable[[Tensor], Tensor] | None = None
    weight: None = None

    def __len__(self) -> int:
        return max(len(self.samples), len(self.contexts))

    @property
    def x(self) -> Tensor:
        """All rows of the samples' side, by which chunks are measured."""
        return self.samples.x

    def rows(self, index: Tensor) -> Table:
        """The rows at an index, copied."""
        x = self.samples.rows(index % len(self.samples)).x
        context = self.contexts.rows(self.order[index % len(self.contexts)]).x  # type: ignore[arg-type]
        return Table(x.to(self.device), context.to(self.device), None, self.map)

    def first(self, n: int | None) -> Tensor:
        """The index of the first rows; of all for None."""
        return torch.arange(len(self) if n is None else min(n, len(self)))

    def reader(self, seed: int, size: int, share: tuple[int, int]) -> Sequence:
        """The endless sequence of this process's parts of batches."""
        return Sequence(len(self), seed, size, share)


@dataclass
class UnpairedSplit(Split):
    """Each side's own parts; units are measured on each side's training rows, once each."""

    sides: dict[str, Split] | None = None

    def measured(self, name: str, device: torch.device) -> Iterable[Tensor]:
        assert self.sides is not None
        return self.sides[name].measured("x", device)


def split_unpaired(table: Table, share: float, seed: int, device: torch.device) -> UnpairedSplit:
    """Two samples with a share of each held out.

    Args:
        table: x (n, *E) and context (m, *C). share: in [0, 1). seed: of the choice. device: where rows are wanted.
    """
    assert table.context is not None
    own = {"x": Table(table.x, device=table.device), "context": Table(table.context, device=table.device)}
    sides = {name: split(rows, round(share * len(rows)), seed) for name, rows in own.items()}

    def joined(samples: Table, contexts: Table) -> Unpaired:
        return Unpaired(samples, contexts, permutation(len(contexts), seed, UNPAIRED), device)

    held_out = [side.held_out for side in sides.values()]
    whole = None if None in held_out else joined(*held_out)  # type: ignore[arg-type]
    train = joined(*(side.train for side in sides.values()))
    return UnpairedSplit(table, train, whole, sides=sides)  # type: ignore[arg-type]
