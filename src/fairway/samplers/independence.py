"""A jump to where the reference says: the one move that does not mind how far the modes are apart.

    u' ~ q,   accepted with probability min(1, exp(f(u') - f(u))),      p = exp(f) q / Z

The Metropolis-Hastings test of a proposal that does not look at u (Tierney 1994, section 2.3.3): q cancels against its
share of p, so f alone decides, and p is left invariant. In a few dimensions, or where q is a good model already, some
jumps are taken, and chains get the shares of far modes right; elsewhere none are, at the price of one value of f.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fairway.core.numerics import expand_as_rows
from fairway.core.random import Rows
from fairway.samplers.kernel import probability


@torch.no_grad()
def jumped(tilt: Callable[[Tensor], Tensor], u: Tensor, proposed: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    """Chains after a jump.

    Args:
        tilt: f, (2 B, *U) -> (2 B,) nats; rows i and B + i are of the same chain.
        u: (B, *U) where chains stand. proposed: (B, *U) draws of q.
        rows: the noise of B rows.

    Returns:
        u (B, *U), and which chains have jumped (B,).
    """
    here, there = tilt(torch.cat([u, proposed])).chunk(2)
    moved = rows.uniform() < probability(there - here)
    return torch.where(expand_as_rows(moved, u), proposed, u), moved
