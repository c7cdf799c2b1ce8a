"""Two laws on finitely many points, and the lecture's parallel lines.

A `Table` is points (K, D) with weights (K,). Two tables are brought to their common points; then every f-divergence is
a sum over them and W1 is a transport between them, all exact.

The parallel lines are P = (0, U) and Q = (theta, V) in the plane, U and V ~ U(0, 1). Both are a table over the first
coordinate times one shared law of the second, P = P1 x U, Q = Q1 x U, and a shared factor changes nothing:

    f-divergences   dP/dQ (a, b) = dP1/dQ1 (a), so D_f(P || Q) = D_f(P1 || Q1)
    W1              moving mass along the first coordinate alone costs W1(P1, Q1); a 1-Lipschitz f of the first
                    coordinate is 1-Lipschitz in the plane, so no plan costs less

For theta other than 0 the laws are disjoint, however near: TV 1, KL infinite, JS log 2, none of which tells a generator
where to go; W1 = |theta| does (Arjovsky, Chintala and Bottou 2017, example 1).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairway.core.random import Seed, generator_for, seed_of
from fairway.metrics.divergence.f_divergence import f_divergence, table_of
from fairway.metrics.divergence.generators import F_DIVERGENCES
from fairway.metrics.divergence.rows import rows_of
from fairway.metrics.divergence.transport import wasserstein
from fairway.metrics.estimate import Estimate


class Table(NamedTuple):
    """Points (K, D) and their probabilities (K,), float64."""

    points: Tensor
    weights: Tensor


def table(points: Any, weights: Any = None) -> Table:
    """A law on finitely many points; equal points are allowed and their weights add up.

    Args:
        points: (K, *E). weights: (K,) that sum to 1; equal where None: the empirical law of rows.

    Raises:
        ValueError: weights of another shape or that do not sum to 1.

    >>> table([[0.0], [1.0], [1.0]]).weights
    tensor([0.3333, 0.6667], dtype=torch.float64)
    """
    rows = rows_of(points, "points")
    given = torch.full((len(rows),), 1 / len(rows)) if weights is None else weights
    found = table_of(given, "weights")
    if found.shape != (len(rows),):
        raise ValueError(f"expected weights of shape ({len(rows)},), one per point, got {tuple(found.shape)}")
    unique, inverse = torch.unique(rows, dim=0, return_inverse=True)
    return Table(unique, torch.zeros(len(unique), dtype=torch.float64).index_add_(0, inverse, found))


def on_common_points(p: Table, q: Table) -> tuple[Tensor, Tensor, Tensor]:
    """The points (K, D) of either table, and the weights (K,) of each there.

    >>> points, a, b = on_common_points(table([[0.0]]), table([[2.0]]))
    >>> a.tolist(), b.tolist()
    ([1.0, 0.0], [0.0, 1.0])
    """
    points, inverse = torch.unique(torch.cat([p.points, q.points]), dim=0, return_inverse=True)
    nothing = torch.zeros(len(points), dtype=torch.float64)
    first, second = inverse.split([len(p.points), len(q.points)])
    return points, nothing.index_add(0, first, p.weights), nothing.index_add(0, second, q.weights)


def table_divergences(p: Table, q: Table) -> dict[str, Estimate]:
    """Every f-divergence of the table F_DIVERGENCES and `wasserstein`, each exact."""
    points, a, b = on_common_points(p, q)
    found = {name: f_divergence(a, b, name) for name in F_DIVERGENCES}
    return found | {"wasserstein": wasserstein(points, points, p=a, q=b)}


def parallel_lines(theta: float) -> dict[str, Estimate]:
    """Every divergence between (0, U) and (theta, V), U and V ~ U(0, 1), exact.

    >>> found = parallel_lines(0.25)
    >>> [found[name].value for name in ("total_variation", "kl", "wasserstein")]
    [1.0, inf, 0.25]
    """
    return table_divergences(table([[0.0]]), table([[theta]]))


def draw_line(n: int, theta: float, generator: Seed = None) -> Tensor:
    """n rows (theta, V), (n, 2)."""
    v = torch.rand(n, generator=generator_for(seed_of(generator)), dtype=torch.float64)
    return torch.stack([torch.full_like(v, theta), v], 1)
