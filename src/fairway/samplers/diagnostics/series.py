"""A trace as many scalar series, and their ranks.

A trace (draws, chains, *U) is read as one set of chains per entry of *U: values (entries, chains, draws), float64.
Each chain is cut in two (an odd one loses its middle draw), so that a drift shows as two chains that disagree. Ranks
r = 1, ..., S over all chains (ties share their mean rank) become normal scores (Blom 1958)

    z = Phi^-1((r - 3/8) / (S + 1/4))

which have all moments whatever the law of the draws; folding, |x - median|, turns a difference in spread into a
difference in location. Vehtari et al. (2021), sections 4.1 and 4.2.
"""

from collections.abc import Callable, Iterator
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec

import numpy as np
import torch
from torch import Tensor

from fairway.core.arrays import as_tensor

BLOCK = 1 << 19  # values worked on at a time: 4 MiB in float64 stay in the cache
P = ParamSpec("P")


class Series:
    """Chains of scalars, one set per entry; what several numbers share is computed once.

    Args:
        values: (entries, chains, draws), float64.
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values

    @cached_property
    def usable(self) -> Tensor:
        """(entries,): every draw is finite and not all are the same."""
        flat = self.values.flatten(1)
        return flat.isfinite().all(1) & (flat.amin(1) != flat.amax(1))

    @cached_property
    def halves(self) -> Tensor:
        """(entries, 2 chains, draws // 2)."""
        return split(self.values)

    @cached_property
    def _ranked(self) -> tuple[Tensor, Tensor]:
        return sort(self.halves.flatten(1))

    @cached_property
    def ordered(self) -> Tensor:
        """All draws of an entry in ascending order (entries, chains * draws)."""
        odd = self.values.shape[2] % 2
        return sort(self.values.flatten(1))[0] if odd else self._ranked[0]

    @cached_property
    def median(self) -> Tensor:
        """(entries,)."""
        size = self.ordered.shape[1]
        return (self.ordered[:, (size - 1) // 2] + self.ordered[:, size // 2]) / 2

    @cached_property
    def scores(self) -> Tensor:
        """Normal scores of the halves (entries, 2 chains, draws // 2)."""
        return normal_scores(*self._ranked).view_as(self.halves)

    @cached_property
    def folded_scores(self) -> Tensor:
        """Normal scores of |x - median|, same shape."""
        folded = (self.halves - self.median[:, None, None]).abs()
        return normal_scores(*sort(folded.flatten(1))).view_as(folded)

    def quantile(self, probability: float) -> Tensor:
        """(entries,), linear between order statistics (type 7 of Hyndman & Fan 1996)."""
        size = self.ordered.shape[1]
        place = (size - 1) * probability
        below = min(int(place + 1e-12 * size), size - 1)
        weight = max(place - below, 0.0) if abs(place - below) > 1e-12 * size else 0.0
        above = min(below + 1, size - 1)
        return (1 - weight) * self.ordered[:, below] + weight * self.ordered[:, above]


def split(values: Tensor) -> Tensor:
    """Chains (entries, chains, draws) cut in two: (entries, 2 chains, draws // 2)."""
    half = values.shape[2] // 2
    return torch.cat([values[..., :half], values[..., values.shape[2] - half :]], 1)


def sort(x: Tensor) -> tuple[Tensor, Tensor]:
    """x (entries, size) in ascending order and the places it came from (numpy's is twice as fast on a CPU)."""
    if x.device.type != "cpu":
        return x.sort(1)
    order = torch.from_numpy(np.argsort(x.numpy(), 1))
    return x.gather(1, order), order


def normal_scores(ordered: Tensor, order: Tensor) -> Tensor:
    """Normal scores (entries, size) of what `sort` gave: ordered values and their places; ties share a mean rank."""
    size = ordered.shape[1]
    new = torch.ones_like(ordered, dtype=torch.bool)
    torch.ne(ordered[:, 1:], ordered[:, :-1], out=new[:, 1:])
    first = new.flatten().nonzero()[:, 0]  # of each run of equal values, counted through all entries
    length = first.diff(append=first.new_tensor([ordered.numel()]))
    ranks = torch.arange(2 * size - 1, dtype=torch.float64, device=ordered.device) / 2 + 1
    table = torch.special.ndtri((ranks - 0.375) / (size + 0.25))
    scores = table[2 * (first % size) + length - 1].repeat_interleave(length, output_size=ordered.numel())
    return torch.empty_like(ordered).scatter_(1, order, scores.view_as(ordered))


def blocks(draws: Any) -> Iterator[Series]:
    """The entries of a trace (draws, chains, *U), some at a time.

    Raises:
        ValueError: not a trace, or fewer than 4 draws a chain: two halves of two are the least that have a variance.
    """
    draws = as_tensor(draws, "draws").detach()
    if draws.ndim < 2:
        raise ValueError(
            f"expected draws of shape (draws, chains, *U), got {tuple(draws.shape)}; for one chain pass draws[:, None]"
        )
    if len(draws) < 4:
        raise ValueError(
            f"expected at least 4 draws of each chain, got {len(draws)} (of {draws.shape[1]} chains; steps come first, "
            "chains second)"
        )
    flat = draws.flatten(2) if draws.ndim > 2 else draws[:, :, None]
    for part in flat.split(max(1, BLOCK // (draws.shape[0] * draws.shape[1])), dim=2):
        yield Series(part.to(torch.float64).permute(2, 1, 0).contiguous())


def per_entry(
    number: Callable[Concatenate[Series, P], Tensor],
) -> Callable[Concatenate[Any, P], Tensor]:
    """Let a number of a `Series`, (entries,), also read a trace (draws, chains, *U) -> (*U).

    NaN where an entry has a draw that is not finite, or draws that are all the same: nothing can be said of them.
    """

    @wraps(number)
    def of(draws: Any, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        if isinstance(draws, Series):
            return torch.where(draws.usable, number(draws, *args, **kwargs), torch.nan)
        found = torch.cat([of(series, *args, **kwargs) for series in blocks(draws)])
        return found.reshape(as_tensor(draws, "draws").shape[2:])

    return of
