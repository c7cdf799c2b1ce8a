"""Divergences of two sets of rows from nearest neighbours, without densities.

With rho_i the distance from x_i to its k-th neighbour among the other x, and nu_i to its k-th among the y, the density
of P at x_i is about k / (n - 1) / (c rho_i^D) and that of Q k / m / (c nu_i^D); the balls' volumes cancel:

    KL(P || Q) = D / n sum_i log(nu_i / rho_i) + log(m / (n - 1))          (Wang, Kulkarni and Verdu 2009, eq. 5)

consistent at any k, with a bias that vanishes slowly in high dimensions and mostly falls short: of two normals that are
1.5 apart (KL 1.125), 1,000 rows show 1.04 in one dimension and 0.76 in ten. Values below 0 occur.
The standard error sums what each row adds: x_i its own term less 1/k for every other x that counts it among its k, and
y_j 1/k for every x that does; it matches the spread over repeats from 1 to 10 dimensions, the bias left aside.

The bound is safer: the neighbours of held-out rows vote, r = log (votes for P + 1/2) / (votes for Q + 1/2), and
`lower_bound` makes of r, however wrong, a bound from below on any bounded f-divergence.
"""

import math
from typing import Any

import torch
from torch import Tensor

from fairway.core.random import Seed, generator_for, seed_of
from fairway.metrics.divergence.f_divergence import lower_bound
from fairway.metrics.divergence.rows import two_sets
from fairway.metrics.estimate import Estimate

BLOCK = 256


def neighbour_kl(x: Any, y: Any, *, k: int = 5) -> Estimate:
    """KL(P || Q) in nats from rows x of P and y of Q, an estimate with a bias that its standard error does not show.

    Args:
        x, y: (n, *E) and (m, *E) rows of continuous data, more than k each.
        k: which neighbour; more smooths.

    Raises:
        ValueError: rows that do not match, too few, or repeated ones.

    >>> x = torch.randn(1000, 1, generator=torch.Generator().manual_seed(0))
    >>> found = neighbour_kl(x[:500], x[500:] + 1)  # N(0, 1) and N(1, 1): 1/2
    >>> abs(found.value - 0.5) < 0.2
    True
    """
    a, b = two_sets(x, y, least=k + 1)
    (rho, of_x), (nu, of_y) = neighbours(a, a, k, own=True), neighbours(a, b, k)
    if not bool((rho > 0).all() and (nu > 0).all()):
        raise ValueError(f"expected continuous rows, got some with {k} identical others; for discrete data use a table")
    n, m = len(a), len(b)
    terms = a.shape[1] * (nu / rho).log()
    value = float(terms.mean()) + math.log(m / (n - 1))
    variance = float((terms - of_x / k).var()) / n + m * float(of_y.var()) / (n * k) ** 2
    protocol = f"k = {k} neighbours"
    return Estimate(value, math.sqrt(variance), method="estimate", unit="nats", n=(n, m), protocol=protocol)


def neighbour_bound(x: Any, y: Any, f: str = "jensen_shannon", *, generator: Seed = 0) -> Estimate:
    """A lower bound on D_f(P || Q), by the votes of neighbours.

    Half of the rows vote, sqrt(n) neighbours each, on the other half.

    Args:
        x, y: (n, *E) and (m, *E), four rows or more each.
        f: "jensen_shannon", "total_variation", "squared_hellinger": any of F_DIVERGENCES, useful where it is bounded.
        generator: of the halves.

    Raises:
        ValueError: rows that do not match, fewer than four.
    """
    a, b = two_sets(x, y, least=4)
    seed = seed_of(generator)
    (known_a, asked_a), (known_b, asked_b) = _halves(a, seed, 0), _halves(b, seed, 1)
    found = lower_bound(_votes(asked_a, known_a, known_b), _votes(asked_b, known_a, known_b), f)
    return Estimate(**{**vars(found), "n": (len(a), len(b)), "protocol": "votes of neighbours"})


def neighbours(x: Tensor, y: Tensor, k: int, own: bool = False) -> tuple[Tensor, Tensor]:
    """Distances (n,) from each x (n, D) to its k-th neighbour among y (m, D), and how often (m,) each y is among the k.

    With `own`, y is x itself and a row is no neighbour of its own.
    """
    distances, nearest = [], []
    for start in range(0, len(x), BLOCK):
        d = torch.cdist(x[start : start + BLOCK], y, compute_mode="donot_use_mm_for_euclid_dist")
        if own:
            d.diagonal(start).fill_(math.inf)
        found = d.topk(k, largest=False)
        distances.append(found.values[:, -1])
        nearest.append(found.indices.flatten())
    return torch.cat(distances), torch.bincount(torch.cat(nearest), minlength=len(y)).double()


def _halves(rows: Tensor, seed: int, which: int) -> tuple[Tensor, Tensor]:
    order = torch.randperm(len(rows), generator=generator_for(seed, which))
    return rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]


def _votes(asked: Tensor, known_a: Tensor, known_b: Tensor) -> Tensor:
    """(n,) log ratio of P to Q at the rows asked."""
    known = torch.cat([known_a, known_b])
    k = max(1, round(math.sqrt(len(known))))
    nearest = torch.cat([torch.cdist(block, known).topk(k, largest=False).indices for block in asked.split(BLOCK)])
    for_a = (nearest < len(known_a)).double().sum(1)
    prior = math.log(len(known_b) / len(known_a))
    return (for_a + 0.5).log() - (k - for_a + 0.5).log() + prior
