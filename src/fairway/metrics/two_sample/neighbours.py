"""The nearest-neighbour test (Schilling 1986; Henze 1988): is a row's nearest neighbour in the pool of its own set?

    T = share of the N pooled rows whose nearest other row is of their own set      1/2 for equal sizes and one law

With its p-value by permuting the sets: the neighbours stay, only the labels move. T is read by its two halves,

    of_x = share of x with a neighbour in x,      of_y = share of y with a neighbour in y,

since one can hide the other: rows y spread far around a dense x have their nearest neighbours in x, and T stays at 1/2
although no two laws could differ more (Xu et al. 2018 ask for both halves of a generator). In high dimension this is
the rule for noise, so a T of 1/2 alone clears nothing.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.random import Seed
from fairway.metrics.divergence.rows import two_sets
from fairway.metrics.estimate import Estimate
from fairway.metrics.features.neighbours import nearest
from fairway.metrics.significance import HypothesisTest, permutation_p_value
from fairway.metrics.two_sample.pooled import rearrangements


def neighbour_test(x: Any, y: Any, *, permutations: int = 999, generator: Seed = 0) -> HypothesisTest:
    """Whether rows of x (n, *E) and y (m, *E) have their nearest neighbours among their own.

    Args:
        permutations: B; the smallest p-value is 1 / (B + 1).
        generator: seed of the permutations.

    Returns:
        T, with its halves `of_x` and `of_y`.

    Raises:
        ValueError: rows that do not match, fewer than two, or values that are not finite.

    >>> x = torch.arange(20.0).reshape(20, 1)
    >>> neighbour_test(x, x + 30).p_value
    0.001
    """
    a, b = two_sets(x, y, least=2)
    n, m = len(a), len(b)
    pool = torch.cat([a, b])
    next_to = nearest(pool, pool, 1, without_self=True)[1][:, 0]
    chosen = rearrangements(n, m, permutations, generator)
    shares = (chosen == chosen[:, next_to]).double().mean(1)
    own: Tensor = chosen[0, next_to] == chosen[0]
    info = {"of_x": float(own[:n].double().mean()), "of_y": float(own[n:].double().mean())}
    error = float(own.double().std()) / (n + m) ** 0.5
    estimate = Estimate(float(shares[0]), error, method="estimate", n=(n, m), protocol="nearest neighbour in the pool")
    return HypothesisTest(estimate, permutation_p_value(shares[0], shares[1:]), "x and y have one law", info)
