"""Wasserstein distance of two weighted sets on the line, exact.

    W_p^p = integral over s in [0, 1] of |F^-1(s) - G^-1(s)|^p

F^-1 and G^-1 are steps; between two neighbouring values of either cumulative sum both are constant, so the integral is
a sum of at most n + m terms. On the line the sorted pairing is the optimal plan for every p >= 1 (Villani 2003,
theorem 2.18), so nothing is solved.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.metrics.divergence.f_divergence import table_of
from fairway.metrics.divergence.rows import two_sets
from fairway.metrics.estimate import Estimate


def wasserstein_on_line(x: Any, y: Any, *, p: Any = None, q: Any = None, order: float = 1) -> Estimate:
    """W_order between values x with weights p and values y with weights q, in the units of the values.

    Args:
        x, y: (n,) and (m,), or (n, 1) and (m, 1).
        p, q: (n,) and (m,) weights that sum to 1; equal weights where None.
        order: at least 1.

    Raises:
        ValueError: rows of more than one entry, weights of another shape or that do not sum to 1, an order below 1.

    >>> wasserstein_on_line([0.0, 1.0], [3.0], p=[0.25, 0.75]).value
    2.25
    """
    a, b = two_sets(_column(x), _column(y))
    if a.shape[1] != 1 or order < 1:
        raise ValueError(f"expected one number per row and an order of at least 1, got {a.shape[1]} and order {order}")
    (a, p), (b, q) = _sorted(a.flatten(), p, "p"), _sorted(b.flatten(), q, "q")
    steps_a, steps_b = p.cumsum(0), q.cumsum(0)
    edges = torch.cat([steps_a, steps_b, torch.zeros(1, dtype=torch.float64)]).clamp(max=1).sort().values
    middle = (edges[1:] + edges[:-1]) / 2
    i, j = (torch.searchsorted(s, middle).clamp(max=len(s) - 1) for s in (steps_a, steps_b))
    power = float(((a[i] - b[j]).abs() ** order * edges.diff()).sum())
    return Estimate(power ** (1 / order), unit="data units", n=(len(a), len(b)))


def _column(x: Any) -> Tensor:
    """Values (n,) as rows (n, 1)."""
    values = as_tensor(x)
    return values.unsqueeze(1) if values.ndim == 1 else values


def _sorted(values: Tensor, weights: Any, what: str) -> tuple[Tensor, Tensor]:
    """Values in order with their weights, equal ones where None."""
    n = len(values)
    found = torch.full((n,), 1 / n, dtype=torch.float64) if weights is None else table_of(weights, what)
    if found.shape != (n,):
        raise ValueError(f"expected {what} of shape ({n},), one weight per row, got {tuple(found.shape)}")
    order = values.argsort()
    return values[order], found[order]
