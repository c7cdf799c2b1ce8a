"""Two sets of rows as one: the pool, and the rearrangements that a common law makes equally likely.

If x_1..x_n and y_1..y_m are independent draws of one law, which n of the N = n + m pooled rows are called x is a
uniformly random choice, given the pool. A rearrangement is its indicator a in {0, 1}^N with sum n; B of them are the
rows of a matrix A (B, N), so that the sums of any features phi (N, F) over every "x" are one product, A phi.
"""

import torch
from torch import Tensor

from fairway.core.random import Seed, generator_for, seed_of


def rearrangements(n: int, m: int, permutations: int, generator: Seed = 0) -> Tensor:
    """(1 + B, n + m) indicators of which pooled rows are called x: the data's own first, then B random ones.

    Raises:
        ValueError: no permutation.

    >>> rearrangements(2, 3, 10).sum(1).unique()
    tensor([2.], dtype=torch.float64)
    """
    if permutations < 1:
        raise ValueError(f"expected permutations of at least 1, got {permutations}")
    keys = torch.rand(permutations, n + m, generator=generator_for(seed_of(generator)), dtype=torch.float64)
    chosen = keys.argsort(1)[:, :n]
    own = torch.arange(n).unsqueeze(0)
    return torch.zeros(permutations + 1, n + m, dtype=torch.float64).scatter_(1, torch.cat([own, chosen]), 1.0)


def standardised(pool: Tensor) -> Tensor:
    """Columns of mean 0 and variance 1; a column that does not vary stays at 0."""
    centred = pool - pool.mean(0)
    spread = centred.square().mean(0).sqrt()
    return centred / torch.where(spread > 0, spread, 1.0)
