"""What every distance between two sets of rows begins with: one shape, one unit, one draw from a model.

A set of rows x (n, *E) is flattened to (n, D), float64, on the CPU. `relative_to` puts columns of any scale on one
footing: a table's column is counted in its own standard deviations, an image's entries in one for all.

>>> rows_of([[1, 2], [3, 4]]).dtype
torch.float64
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor


def rows_of(x: Any, what: str = "x") -> Tensor:
    """(n, D) float64 on the CPU.

    Args:
        x: (n, *E) array-like. what: its name in the errors.

    Raises:
        ValueError: no rows axis, no rows, NaN or an infinity.
    """
    rows = as_tensor(x, what).detach().double().cpu()
    if rows.ndim < 2 or not len(rows):
        raise ValueError(f"expected rows {what} of shape (n, *E) with n of at least 1, got {tuple(rows.shape)}")
    if not bool(torch.isfinite(rows).all()):
        raise ValueError(f"expected finite values in {what}, got NaN or an infinity")
    return rows.flatten(1)


def two_sets(x: Any, y: Any, least: int = 1) -> tuple[Tensor, Tensor]:
    """(n, D) and (m, D) float64 on the CPU.

    Args:
        x, y: (n, *E) and (m, *E) array-likes. least: the fewest rows that will do.

    Raises:
        ValueError: different events, fewer rows than `least`, values that are not finite.
    """
    a, b = rows_of(x, "x"), rows_of(y, "y")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"expected x and y with as many entries per row, got {a.shape[1]} and {b.shape[1]}")
    if min(len(a), len(b)) < least:
        raise ValueError(f"expected at least {least} rows in x and in y, got {len(a)} and {len(b)}")
    return a, b


def relative_to(reference: Any) -> Tensor:
    """The unit of each entry (*E): a table's columns each their own standard deviation, an image's entries the root
    mean variance of all; 1 where nothing varies."""
    rows = as_tensor(reference).double()
    variance = rows.var(0, correction=0)
    variance = variance if rows.ndim == 2 else variance.mean().expand_as(variance)
    return torch.where(variance > 0, variance, 1.0).sqrt()


def draw_like(model: Any, n: int, context: Any, generator: int) -> Tensor:
    """n samples (n, *E) on the CPU: one per context (n, *C), or n without."""
    if context is None:
        return model.sample(n, generator=generator).cpu()
    return model.sample(1, context=as_tensor(context)[:n], generator=generator)[:, 0].cpu()
