"""The noise level t that a question about noisy data names: one for all rows or one for each, 0 = data, 1 = noise.

    t () or (B,), u (B, *U)   ->   t (B,) in the dtype of u

It is checked where a user asks. The hooks, which samplers and objectives call thousands of times, take it as it comes.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.numerics import under_transform


def noise_level(t: Any, u: Tensor) -> Tensor:
    """t as (B,), checked; values are left alone within a compiled graph or a transform, which has none to look at.

    Args:
        t: a float, or floats () or (B,).
        u: (B, *U).

    Raises:
        ValueError: whole numbers, another shape, or a level outside [0, 1], NaN included.

    >>> noise_level(0.25, torch.zeros(3, 2))
    tensor([0.2500, 0.2500, 0.2500])
    """
    level = torch.as_tensor(t, dtype=u.dtype if isinstance(t, float) else None)
    if not level.is_floating_point():
        raise ValueError(
            f"expected a noise level t in [0, 1] as a float, got {level.dtype}; for step i of T pass the float i / T"
        )
    if level.ndim and tuple(level.shape) != (len(u),):
        raise ValueError(
            f"expected one noise level t for all rows, or one for each of the {len(u)} rows of u, shape ({len(u)},); "
            f"got {tuple(level.shape)}: repeat or flatten it to one of the two"
        )
    if not (torch.compiler.is_compiling() or under_transform()):
        _check_values(level)
    return level.to(u.device, u.dtype).expand(len(u))


def _check_values(level: Tensor) -> None:
    """Within [0, 1]; one look at the device."""
    inside = (level >= 0) & (level <= 1)  # false for NaN, too
    if not bool(inside.all()):
        first = float(level[~inside].flatten()[0])
        raise ValueError(
            f"expected noise levels t in [0, 1], 0 = data and 1 = noise, got {first:g} (and {int((~inside).sum()) - 1} "
            "more); divide steps by their number"
        )
