"""Do 90 % regions hold 90 % of the truth?

A family of nested regions A_c with P(A_c) = c first contains x at the level s(x); then x is in A_c exactly when
s(x) <= c, and for a right model s ~ U(0, 1). So every kind of region is one number per row:

    central interval         s = |2 u - 1|,  u the probability transform of an entry
    highest density region   s = P(log p(x') > log p(x)),  x' ~ p                       (Hyndman 1996)

    coverage at c = share of rows with s <= c       below c: overconfident; above c: too wide

The second is one number for a whole image or table row, needs only an energy (log Z cancels), and is estimated from
L draws per row by the same randomised rank as the probability transform.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.random import Seed, mix, seed_of
from fairway.metrics.calibration.pit import DRAWS, draws_for, randomised_rank
from fairway.metrics.estimate import Estimate

LEVELS = (0.5, 0.8, 0.9, 0.95)


def central_level(u: Tensor) -> Tensor:
    """The level of the central interval that u = F(x) lies on the edge of, elementwise.

    >>> central_level(torch.tensor([0.5, 0.05, 0.95]))
    tensor([0.0000, 0.9000, 0.9000])
    """
    return (2 * u - 1).abs()


@torch.no_grad()
def highest_density_level(
    model: Any, x: Any, context: Any = None, *, draws: int = DRAWS, sampler: Any = None, generator: Seed = 0
) -> Tensor:
    """The level of the highest density region that each row of x (n, *E) lies on the edge of: (n,).

    Args:
        context: (n, *C), for conditional models.
        draws: L, of the model for every row.
        sampler: a sampler, a kernel or a registered name; None for the model's own.
        generator: seed.

    Raises:
        CapabilityError: the model has no energy in data units.

    >>> from fairway.core.event import Event
    >>> from fairway.models.classical.gaussian import Gaussian
    >>> model = Gaussian(Event((2,)))
    >>> highest_density_level(model, model.means.detach()).item() < 0.01  # the mode is in every region
    True
    """
    seed = seed_of(generator)
    rows = as_tensor(x)
    others = draws_for(model, len(rows), context, draws, sampler, mix(seed, 0))
    own = model.energy(rows.to(others.dtype) if rows.is_floating_point() else rows, context).cpu()
    return randomised_rank(own, model.energy(others, context).cpu(), mix(seed, 1))


def coverage(level: Any, levels: Sequence[float] = LEVELS) -> dict[float, Estimate]:
    """Share of rows inside the regions of each nominal level, from the level (n,) or (n, *K) that each row needs.

    The standard error is over rows: entries of one row are not independent.

    Raises:
        ValueError: fewer than two rows, or levels outside (0, 1).

    >>> coverage(torch.arange(100) / 100)[0.9].value
    0.91
    """
    needed = as_tensor(level, "level").detach().double().cpu()
    if not needed.ndim or len(needed) < 2:
        raise ValueError(f"expected the level of at least two rows, got shape {tuple(needed.shape)}")
    if not all(0 < c < 1 for c in levels):
        raise ValueError(f"expected nominal levels within (0, 1), got {tuple(levels)}")
    return {float(c): _share(needed.flatten(1) if needed.ndim > 1 else needed.unsqueeze(1), c) for c in levels}


def _share(needed: Tensor, c: float) -> Estimate:
    inside = (needed <= c).double().mean(1)
    error = float(inside.std()) / len(inside) ** 0.5
    return Estimate(float(inside.mean()), error, method="estimate", n=(len(inside),), protocol=f"nominal {c:g}")
