"""Rows of a data set that is in memory, or in a file that is mapped, by index.

batch k  --Sequence-->  index  --Table.rows-->  rows in data units
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fairway.data.order import Sequence, Shuffle


@dataclass
class Table:
    """Training or held-out rows in data units: x (n, *E), context (n, *C), weight (n,).

    `map` turns model units into what a stage learns from (codes of an earlier stage, say); where model units do not
    change from batch to batch it is applied once and kept. A table that stays where it is (a mapped file, say) has the
    `device` that its rows are wanted on, is never copied as a whole, and has an `index` where it is a part.
    """

    x: Tensor
    context: Tensor | None = None
    weight: Tensor | None = None
    map: Callable[[Tensor], Tensor] | None = None
    device: torch.device | None = None
    index: Tensor | Shuffle | None = None

    def __len__(self) -> int:
        return len(self.x) if self.index is None else len(self.index)

    def rows(self, index: Tensor) -> "Table":
        """The rows at an index, copied."""
        where: Tensor = index if self.index is None else self.index[index]  # type: ignore[assignment]
        where = where.to(self.x.device)
        x, context, weight = (
            None if t is None else t[where].to(self.device or t.device) for t in (self.x, self.context, self.weight)
        )
        return Table(x, context, weight, self.map)  # type: ignore[arg-type]

    def part(self, index: Tensor | Shuffle) -> "Table":
        """The rows at an index; of a table that stays where it is, only the index is kept."""
        if self.device is not None:
            return replace(self, index=index)
        return self.rows(index if isinstance(index, Tensor) else index.to_tensor())

    def weight_of(self, index: Tensor) -> Tensor:
        """The sum of the weights of rows, which have some."""
        weight = Table(self.weight, device=self.device, index=self.index)  # type: ignore[arg-type]
        return weight.rows(index).x.sum()

    def first(self, n: int | None) -> Tensor:
        """The index of the first rows; of all for None."""
        return torch.arange(len(self) if n is None else min(n, len(self)))

    def reader(self, seed: int, size: int, share: tuple[int, int]) -> Sequence:
        """The endless sequence of this process's parts of batches."""
        return Sequence(len(self), seed, size, share)
