"""Distances between two sets of rows.

Sliced Wasserstein (Rabin et al. 2011, Bonneel et al. 2015), order p, over unit directions theta:

    SW_p(P, Q)^p = mean over theta of W_p(theta.x ~ P, theta.y ~ Q)^p
    W_p^p        = integral over q in [0, 1] of |F^-1(q) - G^-1(q)|^p      (quantile functions on the line)

Here p = 2, 256 directions fixed by a seed and shared by every comparison, and the integral is exact for sets of any two
sizes: both quantile functions are steps, constant between the merged multiples of 1/n and 1/m.
A distance of finite sets is biased upward, so figures compare only at equal sizes. `relative_to` puts columns of any
scale on one footing: a table's column is counted in its own standard deviations, an image's entries in one for all.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.random import generator_for

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
    a, b = _rows(x, "x"), _rows(y, "y")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"expected x and y with as many entries per row, got {a.shape[1]} and {b.shape[1]}")
    theta = _directions(a.shape[1], directions, seed)
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


def relative_to(reference: Any) -> Tensor:
    """The unit of each entry (*E): a table's columns each their own standard deviation, an image's entries the root
    mean variance of all; 1 where nothing varies."""
    rows = as_tensor(reference).double()
    variance = rows.var(0, correction=0)
    variance = variance if rows.ndim == 2 else variance.mean().expand_as(variance)
    return torch.where(variance > 0, variance, 1.0).sqrt()


def sample_distance(model: Any, x: Any, context: Any = None, *, generator: int) -> float:
    """Sliced Wasserstein distance of as many model samples as rows x (n, *E), in standard deviations of x.

    With a context (n, *C), each row's own context gives one sample.
    """
    samples = draw_like(model, len(x), context, generator)
    unit = relative_to(x)
    return sliced_wasserstein(samples.double() / unit, as_tensor(x).double() / unit)


def draw_like(model: Any, n: int, context: Any, generator: int) -> Tensor:
    """n samples (n, *E) on the CPU: one per context (n, *C), or n without."""
    if context is None:
        return model.sample(n, generator=generator).cpu()
    return model.sample(1, context=as_tensor(context)[:n], generator=generator)[:, 0].cpu()


def _rows(x: Any, what: str) -> Tensor:
    """(n, D) float64 on the CPU."""
    rows = as_tensor(x, what).detach().double().cpu()
    if rows.ndim < 2 or not len(rows):
        raise ValueError(f"expected rows {what} of shape (n, *E) with n of at least 1, got {tuple(rows.shape)}")
    if not bool(torch.isfinite(rows).all()):
        raise ValueError(f"expected finite values in {what}, got NaN or an infinity")
    return rows.flatten(1)


def _directions(dims: int, k: int, seed: int) -> Tensor:
    """(D, k) unit vectors; on the line there is one direction only."""
    if dims == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    normal = torch.randn(dims, k, generator=generator_for(seed, dims), dtype=torch.float64)
    return normal / normal.norm(dim=0)
