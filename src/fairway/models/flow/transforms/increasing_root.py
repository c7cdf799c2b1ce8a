"""Roots of many increasing functions of one number each: Newton's method within brackets.

    y <- y - f(y) / f'(y)   where that stays inside [low, high], else the middle; the sign of f(y) moves low or high

Every third step is the middle anyway, so the brackets shrink for certain, and steps near the root are Newton's.
"""

from collections.abc import Callable

import torch
from torch import Tensor

STEPS = 200


def increasing_root(f: Callable[[Tensor], tuple[Tensor, Tensor]], low: Tensor, high: Tensor) -> Tensor:
    """y with f(y) = 0, entrywise, as near as rounding lets it.

    Args:
        f: y -> f(y) and its slope, > 0, entrywise.
        low, high: entrywise, f(low) <= 0 <= f(high).
    """
    y = (low + high) / 2
    rounding = 4 * torch.finfo(y.dtype).eps
    for i in range(STEPS):
        value, slope = f(y)
        low, high = torch.where(value <= 0, y, low), torch.where(value >= 0, y, high)
        newton = y - value / slope
        inside = (newton > low) & (newton < high)
        new = newton if i % 3 < 2 else (low + high) / 2
        new = torch.where(inside | (low == high), new, (low + high) / 2)
        settled = ((new - y).abs() <= rounding * (1 + y.abs())) | (value == 0)
        y = torch.where(value == 0, y, new)
        if i % 3 < 2 and bool((settled | ~value.isfinite()).all()):
            break
    return y
