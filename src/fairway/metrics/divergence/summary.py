"""Every distance between two sets of rows that asks for nothing but the rows.

    sliced_wasserstein_1, _2     256 directions, exact on each                              standard deviations
    wasserstein                  exact W1 by transport, of at most 2,000 rows a side        standard deviations
    energy_distance, squared_mmd  unbiased                                                  standard deviations, 1
    neighbour_kl, neighbour_reverse_kl   KL(samples || data) and KL(data || samples), continuous rows only     nats
    jensen_shannon, total_variation      lower bounds by the votes of neighbours            nats, 1

Rows are counted in standard deviations of the data (`relative_to`), else the widest column would be the distance. The
order of the rows does not matter: both sets are shuffled under the seed before halves or the first 2,000 are taken.
No one number is enough: W1 weighs how far, KL how often, reverse KL what is missing, and a bound of 0 proves nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.random import Seed, generator_for, mix, seed_of
from fairway.metrics.bootstrap import bootstrap
from fairway.metrics.divergence.kernel import energy_distance, squared_mmd
from fairway.metrics.divergence.neighbours import neighbour_bound, neighbour_kl
from fairway.metrics.divergence.rows import relative_to, two_sets
from fairway.metrics.divergence.sliced import DIRECTIONS, sliced_wasserstein
from fairway.metrics.divergence.transport import wasserstein
from fairway.metrics.estimate import Estimate
from fairway.metrics.floor import beside, common_size, floor_of

TRANSPORT_ROWS = 2000
Measure = Callable[[Tensor, Tensor], Estimate]


def divergences(
    samples: Any, data: Any, *, relative: bool = True, floors: int = 0, repeats: int = 0, generator: Seed = 0
) -> dict[str, Estimate]:
    """All of the above, by name.

    Args:
        samples, data: (n, *E) and (m, *E), six rows or more each.
        relative: count rows in standard deviations of the data.
        floors: pairs of disjoint sets of data for each floor; 0 for none. With floors, both sets are cut to
            k = min(n, m // 2) rows and k joins the protocol.
        repeats: halves for each bootstrap interval, at least 20; 0 for none.
        generator: of the shuffles, halves and pairs.

    Raises:
        ValueError: rows that do not match, too few. ImportError: POT is missing.

    >>> x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    >>> found = divergences(x[:150] + 1, x[150:])
    >>> found["wasserstein"].unit, found["total_variation"].relation
    ('standard deviations', 'lower')
    """
    seed = seed_of(generator)
    unit = relative_to(as_tensor(data, "data")).flatten() if relative else 1.0
    x, y = (_shuffled(rows / unit, mix(seed, i)) for i, rows in enumerate(two_sets(samples, data, least=6)))
    pool = y
    if floors:
        size = common_size(len(x), len(y))
        x, y = x[:size], y[:size]
    found = {}
    for name, measure in _measures(x, pool).items():
        estimate = measure(x, y)
        if repeats:
            error, interval = bootstrap(measure, x, y, repeats=repeats, generator=mix(seed, 2))
            estimate = replace(estimate, standard_error=error, interval=interval)
        if floors:
            estimate = beside(estimate, floor_of(measure, pool, size, repeats=floors, generator=mix(seed, 3)), size)
        found[name] = _in_units(estimate) if relative else estimate
    return found


def _in_units(estimate: Estimate) -> Estimate:
    return replace(estimate, unit="standard deviations") if estimate.unit == "data units" else estimate


def _measures(x: Tensor, y: Tensor) -> dict[str, Measure]:
    found: dict[str, Measure] = {
        "sliced_wasserstein_1": partial(_sliced, order=1),
        "sliced_wasserstein_2": partial(_sliced, order=2),
        "wasserstein": _transport,
        "energy_distance": energy_distance,
        "squared_mmd": squared_mmd,
        "jensen_shannon": partial(neighbour_bound, f="jensen_shannon"),
        "total_variation": partial(neighbour_bound, f="total_variation"),
    }
    if all(len(torch.unique(rows, dim=0)) == len(rows) for rows in (x, y)):
        found |= {"neighbour_kl": neighbour_kl, "neighbour_reverse_kl": lambda a, b: neighbour_kl(b, a)}
    return found


def _sliced(x: Tensor, y: Tensor, order: int) -> Estimate:
    value, sizes = sliced_wasserstein(x, y, order=order), (len(x), len(y))
    return Estimate(
        value, float("nan"), "equal", "estimate", "data units", n=sizes, protocol=f"{DIRECTIONS} directions"
    )


def _transport(x: Tensor, y: Tensor) -> Estimate:
    return wasserstein(x[:TRANSPORT_ROWS], y[:TRANSPORT_ROWS])


def _shuffled(rows: Tensor, seed: int) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator_for(seed))]
