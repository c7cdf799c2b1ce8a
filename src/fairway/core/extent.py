"""What the values of a large array span, in one pass over chunks of it: no copy of all rows is ever made.

    low, high (per entry of an observation), gaps, the first infinity, whether all values are whole numbers

Chunks are runs of rows with at most 2^20 entries, so that a float64 copy of one stays at 8 megabytes however long
the array is; of an array that maps a file, only the pages of a chunk need to be in memory at a time.

>>> import torch
>>> extent = Extent.of(torch.tensor([[1.0, 5.0], [3.0, 2.0]]))
>>> extent.low.tolist(), extent.high.tolist(), extent.whole
([1.0, 2.0], [3.0, 5.0], True)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ENTRIES = 1 << 20
BESIDE = 1024  # entries


def rows_per_chunk(x: Tensor) -> int:
    """How many rows of an array make a chunk."""
    return max(1, ENTRIES // max(1, math.prod(x.shape[1:])))


def chunks(x: Tensor) -> Sequence[Tensor]:
    """Views of runs of rows, in order."""
    return x.split(rows_per_chunk(x))


@dataclass
class Extent:
    """The span of the values of x (n, ...), without its gaps (NaN).

    Args:
        low, high: (d,) smallest and largest value of each entry of an observation, or (1,) of all; inf and -inf where
            all are NaN.
        gap: the index of the first NaN, or None. infinity: the index of the first infinity, or None.
        whole: all values are whole numbers.
    """

    low: Tensor
    high: Tensor
    gap: list[int] | None = None
    infinity: list[int] | None = None
    whole: bool = True

    @classmethod
    def of(cls, x: Tensor, each: bool = True) -> "Extent":
        """The span of x, which has at least one entry; of `each` entry of an observation, or of all together."""
        first, *others = [x] if x.numel() <= ENTRIES else chunks(x)
        whole, start = cls._of_chunk(first, 0, True, each), len(first)
        for chunk in others:
            whole._take(cls._of_chunk(chunk, start, whole.whole, each))
            start += len(chunk)
        return whole

    @classmethod
    def _of_chunk(cls, x: Tensor, start: int, whole: bool, each: bool) -> "Extent":
        """`whole`: whether it is still worth looking for fractions."""
        flat = x.reshape(len(x), -1) if each else x.reshape(-1, 1)
        here = cls(*_span(flat))
        if not x.is_floating_point():
            return here
        low, high = here.range
        if math.isnan(low):
            return cls._with_gaps(x, flat, start, whole)
        if math.isinf(low) or math.isinf(high):
            here.infinity = _first(x.isinf(), start)
        here.whole = whole and _is_whole(flat[:1]) and _is_whole(flat)
        return here

    @classmethod
    def _with_gaps(cls, x: Tensor, flat: Tensor, start: int, whole: bool) -> "Extent":
        nan = flat.isnan()
        low, high = flat.masked_fill(nan, math.inf).amin(0), flat.masked_fill(nan, -math.inf).amax(0)
        infinite = bool(flat.isinf().any())
        whole = whole and _is_whole(flat.masked_fill(nan, 0.0))
        return cls(low, high, _first(nan.view(x.shape), start), _first(x.isinf(), start) if infinite else None, whole)

    def _take(self, other: "Extent") -> None:
        """Widen this span by another's."""
        self.low, self.high = torch.minimum(self.low, other.low), torch.maximum(self.high, other.high)
        self.gap, self.infinity = self.gap or other.gap, self.infinity or other.infinity
        self.whole = self.whole and other.whole

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value of all."""
        low, high = (self.low, self.high) if len(self.low) == 1 else (self.low.min(), self.high.max())
        return low.item(), high.item()


def _is_whole(x: Tensor) -> bool:
    return bool((x == x.round()).all())


def _span(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest per column, NaN where there is one; short rows are laid side by side, ten times faster."""
    if flat.shape[1] == 1:
        low, high = flat.flatten().aminmax()
        return low[None], high[None]
    beside = max(1, BESIDE // flat.shape[1])
    whole = len(flat) // beside * beside
    if not whole:
        return flat.amin(0), flat.amax(0)
    wide, rest = flat[:whole].reshape(len(flat) // beside, -1), flat[whole:]
    low = torch.cat([wide.amin(0).view(beside, -1), rest]).amin(0)
    return low, torch.cat([wide.amax(0).view(beside, -1), rest]).amax(0)


def _first(found: Tensor, start: int) -> list[int]:
    """The index of the first True in a chunk that starts at a row."""
    row, *rest = found.nonzero().tolist()[0]
    return [row + start, *rest]
