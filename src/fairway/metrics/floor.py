"""Every distance beside what fresh data have.

A distance of finite sets is not 0 between two sets of one law. With k rows on either side,

    value      D(k samples, k rows of data)
    floor      mean and sd of D(k rows of data, k other rows of data) over random disjoint pairs

both at the same k, so both carry the same bias. A value within two sd of the floor is as good as data can tell; a gap
between two models under two sd is a tie (`Estimate.tied`). Disjoint pairs need 2 k rows of data: where there are fewer
than twice as many rows as samples, k is half of the data and the samples are cut to k, or an error where k was asked
for. k is part of the protocol, so that numbers at different sizes are never ranked.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from fairway.core.arrays import as_tensor
from fairway.core.random import Seed, generator_for, mix, seed_of
from fairway.metrics.estimate import Estimate


def with_floor(
    distance: Callable[..., Any],
    samples: Any,
    data: Any,
    *,
    size: int | None = None,
    repeats: int = 20,
    generator: Seed = 0,
) -> Estimate:
    """distance(samples, data) at equal sizes, with its floor.

    Args:
        distance: of (k, *E) and (k, *E); an `Estimate` or a number.
        samples, data: (n, *E) and (m, *E).
        size: k; None for the largest that is possible, min(n, m // 2).
        repeats: how many disjoint pairs of data.
        generator: which rows are taken.

    Returns:
        The estimate with `floor`, `floor_sd`, n = (k, k) and k in the protocol.

    Raises:
        ValueError: fewer than two rows, a size that the sets do not have, fewer than two repeats.

    >>> x = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    >>> found = with_floor(lambda a, b: float((a.mean() - b.mean()).abs()), x[:100] + 1, x)
    >>> found.n, found.value > found.floor + 2 * found.floor_sd
    ((100, 100), True)
    """
    given, rows = as_tensor(samples, "samples"), as_tensor(data, "data")
    k = common_size(len(given), len(rows), size)
    seed = seed_of(generator)
    random = generator_for(seed)
    first, other = (s[torch.randperm(len(s), generator=random)[:k]] for s in (rows, given))
    value = distance(other, first)
    found = value if isinstance(value, Estimate) else Estimate(float(value), method="estimate")
    return beside(found, floor_of(distance, rows, k, repeats=repeats, generator=mix(seed, 1)), k)


def beside(found: Estimate, floor: tuple[float, float], k: int) -> Estimate:
    """A distance of k rows a side with the mean and the standard deviation of its floor."""
    protocol = ", ".join(part for part in (found.protocol, f"{k} rows a side") if part)
    return replace(found, floor=floor[0], floor_sd=floor[1], n=found.n or (k, k), protocol=protocol)


def floor_of(
    distance: Callable[..., Any], data: Any, size: int, *, repeats: int = 20, generator: Seed = 0
) -> tuple[float, float]:
    """Mean and standard deviation of distance(A, B) over random disjoint sets A and B of `size` rows of data (m, *E).

    Raises:
        ValueError: fewer than 2 size rows, fewer than two repeats.
    """
    rows = as_tensor(data, "data")
    if repeats < 2 or 2 * size > len(rows):
        raise ValueError(
            f"expected at least two repeats and 2 x {size} rows of data for disjoint sets, got {repeats} repeats and "
            f"{len(rows)} rows"
        )
    random = generator_for(seed_of(generator))
    orders = [torch.randperm(len(rows), generator=random) for _ in range(repeats)]
    found = [float(distance(rows[o[:size]], rows[o[size : 2 * size]])) for o in orders]
    floors = torch.tensor(found, dtype=torch.float64)
    return float(floors.mean()), float(floors.std())


def common_size(samples: int, data: int, asked: int | None = None) -> int:
    """Rows a side: the size asked for, or the largest that leaves two disjoint sets of data.

    Raises:
        ValueError: under two, or more than there are.
    """
    k = min(samples, data // 2) if asked is None else asked
    if k < 2 or k > samples or 2 * k > data:
        raise ValueError(
            f"expected at least {max(k, 2)} samples and twice as many rows of data, so that two disjoint sets of data "
            f"are as large; got {samples} samples and {data} rows: ask for a smaller size or give more data"
        )
    return k
