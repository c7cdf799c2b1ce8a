"""Orders of rows: a permutation of 0, ..., n - 1 for every key, as a tensor, or as a function where n is large.

Training goes through one permutation per epoch, a function of the seed and the epoch: to know which rows batch k holds,
nothing has to be remembered but k.

A permutation of 62 million rows takes half a gigabyte; a function takes nothing. The integers below 2^b >= n are
permuted by a Feistel network (Luby and Rackoff, 1988): split the bits into halves and repeat, with a keyed hash f,

    (left, right) -> (right, left xor f(right))

which undoes itself whatever f is. Where a number leaves 0, ..., n - 1 it is permuted again until it is back (cycle
walking, Black and Rogaway, 2002): what is left is a permutation of 0, ..., n - 1.

>>> import torch
>>> order = Shuffle(1000, 7)
>>> sorted(order[torch.arange(1000)].tolist()) == list(range(1000))
True
>>> bool((order[900:][torch.tensor([0, 5])] == order[torch.tensor([900, 905])]).all())
True
"""

import torch
from torch import Tensor

from fairway.core.random import generator_for, mix

SMALL = 1 << 22  # up to so many rows a permutation is a tensor of 8 bytes per row
ROUNDS = 6
ORDER = 1  # stream of a fit's seed
AHEAD = 1 << 16  # rows of a long order that are worked out at a time
_CHUNK = 1 << 20


def permutation(n: int, *key: int) -> "Tensor | Shuffle":
    """The permutation of 0, ..., n - 1 that belongs to a key; index it with a tensor, or take a slice.

    Args:
        n: number of rows.
        key: integers, hashed.
    """
    return torch.randperm(n, generator=generator_for(*key)) if n <= SMALL else Shuffle(n, *key)


class Shuffle:
    """A permutation of 0, ..., n - 1 as a function, or a run of it.

    Args:
        n: number of rows. key: integers, hashed.
    """

    def __init__(self, n: int, *key: int) -> None:
        self.n, self.start, self.stop = n, 0, n
        self._bits = max(n - 1, 1).bit_length()
        self._key = key
        self._keys = [mix(*key, i) >> 1 for i in range(ROUNDS)]

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: "Tensor | slice") -> "Tensor | Shuffle":
        if isinstance(index, Tensor):
            return torch.cat([self._walk(part + self.start) for part in index.split(_CHUNK)])
        start, stop, step = index.indices(len(self))
        if step != 1:
            raise ValueError(f"expected a slice of rows that follow each other, got step {step}")
        part = Shuffle(self.n, *self._key)
        part.start, part.stop = self.start + start, self.start + max(start, stop)
        return part

    def to_tensor(self) -> Tensor:
        """All of it."""
        return self[torch.arange(len(self))]  # type: ignore[return-value]

    def _walk(self, x: Tensor) -> Tensor:
        """Permute until every number is below n."""
        x = self._permute(x)
        outside = (x >= self.n).nonzero().flatten()
        while len(outside):
            x[outside] = self._permute(x[outside])
            outside = outside[x[outside] >= self.n]
        return x

    def _permute(self, x: Tensor) -> Tensor:
        """Permute the integers below 2^bits; halves may differ by a bit, then they swap lengths in every round."""
        low = self._bits // 2
        left, right, widths = x >> low, x & ((1 << low) - 1), (self._bits - low, low)
        for key in self._keys:
            left, right = right, left ^ (_hash(right, key) & ((1 << widths[0]) - 1))
            widths = widths[::-1]
        return (left << widths[1]) | right


def _hash(x: Tensor, key: int) -> Tensor:
    """32 well-mixed bits of small integers; products stay below 2^63."""
    x = (x ^ (key & 0x7FFFFFFF)) & 0x7FFFFFFF
    x = ((x ^ (x >> 16)) * 0x45D9F3B) & 0x7FFFFFFF
    x = ((x ^ (x >> 15)) * 0x2C1B3C6D + (key >> 31)) & 0x7FFFFFFF
    return x ^ (x >> 16)


class Sequence:
    """An endless sequence of permutations, cut into batches: `whole(k)` is batch k, a call is this process's part.

    Args:
        n: number of rows. seed: of the order.
        size: rows per batch and process. share: this process's number and the number of processes.
    """

    def __init__(self, n: int, seed: int, size: int, share: tuple[int, int]) -> None:
        self.n, self.seed, self.size = n, seed, size
        self.rank, self.processes = share
        self._epoch, self._order = -1, permutation(1)
        self._block, self._ahead = (-1, -1), torch.empty(0, dtype=torch.long)

    def __call__(self, k: int) -> Tensor:
        start = self.rank * self.size
        return self.whole(k)[start : start + self.size]

    def whole(self, k: int) -> Tensor:
        """Positions [k W B, (k + 1) W B) of the endless order; a batch may cross an epoch's end."""
        left = self.size * self.processes
        start, parts = k * left, []
        while left:
            part = self._from(start // self.n, start % self.n)[:left]
            parts.append(part)
            start, left = start + len(part), left - len(part)
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _from(self, epoch: int, position: int) -> Tensor:
        """An epoch's order from a position on: to its end, or as far as it is worked out."""
        if epoch != self._epoch:
            self._epoch, self._order = epoch, permutation(self.n, self.seed, ORDER, epoch)
        if isinstance(self._order, Tensor):
            return self._order[position:]
        block = position // AHEAD
        if self._block != (epoch, block):
            self._block = epoch, block
            self._ahead = self._order[block * AHEAD : (block + 1) * AHEAD].to_tensor()  # type: ignore[union-attr]
        return self._ahead[position % AHEAD :]
