"""Sliced Wasserstein distance between two sets of rows (Rabin et al. 2011, Bonneel et al. 2015).

Order p, over unit directions theta:

    SW_p(P, Q)^p = mean over theta of W_p(theta.x ~ P, theta.y ~ Q)^p
    W_p^p        = integral over q in [0, 1] of |F^-1(q) - G^-1(q)|^p      (quantile functions on the line)

Here p = 2, 256 directions fixed by a seed and shared by every comparison, and the integral is exact for sets of any two
sizes: both quantile functions are steps, constant between the merged multiples of 1/n and 1/m.
A distance of finite sets is biased upward, so figures compare only at equal sizes.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.random import generator_for
from fairway.metrics.divergence.rows import draw_like, relative_to, two_sets

DIRECTIONS = 256


def sliced_wasserstein(x: Any, y: Any, *, order: int = 2, directions: int = DIRECTIONS, seed: int = 0) -> float:
    """Sliced Wasserstein distance between rows x (n, *E) and y (m, *E), in the units of the rows.

    Args:
        order: p above, 1 or 2.
        directions: how many projections.
        seed: of the projections; the same seed gives the same directions.

    Raises:
        ValueError: different events, an empty set, values that are not finite, another order.

    >>> x = torch.tensor([[0.0], [1.0]])
    >>> round(sliced_wasserstein(x, x + 3), 4)
    3.0
    """
    if order not in (1, 2):
        raise ValueError(f"expected order 1 or 2, got {order}")
    a, b = two_sets(x, y)
    theta = directions_of(a.shape[1], directions, seed)
    per_direction = wasserstein_on_lines(a @ theta, b @ theta, order)
    return float(per_direction.mean() ** (1 / order))


def wasserstein_on_lines(x: Tensor, y: Tensor, order: int = 2) -> Tensor:
    """W_p^p between the columns of x (n, k) and of y (m, k): (k,), exact for any sizes.

    Positions on the quantile axis are counted in units of 1 / (n m), in integers, so that no step is missed.
    """
    n, m = len(x), len(y)
    edges = torch.unique(torch.cat([torch.arange(n + 1) * m, torch.arange(m + 1) * n]))
    left, width = edges[:-1], edges.diff().to(x.dtype) / (n * m)
    gap = x.sort(0).values[left // m] - y.sort(0).values[left // n]
    return (gap.abs() ** order * width.unsqueeze(1)).sum(0)


def sample_distance(model: Any, x: Any, context: Any = None, *, generator: int) -> float:
    """Sliced Wasserstein distance of as many model samples as rows x (n, *E), in standard deviations of x.

    With a context (n, *C), each row's own context gives one sample.
    """
    samples = draw_like(model, len(x), context, generator)
    unit = relative_to(x)
    return sliced_wasserstein(samples.double() / unit, as_tensor(x).double() / unit)


def directions_of(dims: int, k: int, seed: int) -> Tensor:
    """(D, k) unit vectors; on the line there is one direction only."""
    if dims == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    normal = torch.randn(dims, k, generator=generator_for(seed, dims), dtype=torch.float64)
    return normal / normal.norm(dim=0)
