"""The learned two-sample test (Lopez-Paz and Oquab 2017; Cheng and Cloninger 2022).

A network learns on one half of the rows to tell x (label 1) from y (label 0); the other half judges it. With f the
logit of P(label = 1 | row), on held-out rows:

    accuracy  = share of rows on the right side of 0                           1/2 when the laws are equal
    log loss  = -mean of label log s(f) + (1 - label) log s(-f)                log 2 when they are
    log 2 - log loss <= JS(P, Q)  in expectation, nats                         equality for the best classifier

The held-out rows were not seen in training, so under one law their labels are a uniformly random arrangement given
their logits. The p-value permutes those labels with T = mean f over x - mean f over y, in which the log loss is
linear: exact at any size, without training again. Blind to nothing in principle; in practice to what the
network does not learn from half of the rows.
"""

import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.numerics import LOG_2
from fairway.core.random import Seed, generator_for, mix, seed_of, seeded
from fairway.metrics.divergence.rows import two_sets
from fairway.metrics.estimate import Estimate
from fairway.metrics.significance import HypothesisTest, permutation_p_value
from fairway.metrics.two_sample.pooled import rearrangements, standardised

STEPS, BATCH, WIDTH = 400, 128, 64


def classifier_test(
    x: Any, y: Any, *, network: nn.Module | None = None, permutations: int = 999, generator: Seed = 0
) -> HypothesisTest:
    """Whether a classifier can tell x (n, *E) from y (m, *E) on rows that it has not seen.

    Args:
        network: (B, D) -> (B, 1) logits, trained in place; default an MLP with two layers of 64.
        permutations: B; the smallest p-value is 1 / (B + 1).
        generator: seed of the halves, the training and the permutations.

    Returns:
        The held-out accuracy (balanced over the two sets), with `log_loss` and `jensen_shannon` (a lower bound, nats).

    Raises:
        ValueError: rows that do not match, fewer than four, or values that are not finite.

    >>> x = torch.arange(200.0).reshape(200, 1)
    >>> found = classifier_test(x, x + 300)
    >>> found.statistic.value > 0.95, found.p_value
    (True, 0.001)
    """
    a, b = two_sets(x, y, least=4)
    seed = seed_of(generator)
    u = standardised(torch.cat([a, b])).float()  # a function of the pool alone keeps the test exact
    (x_train, x_test), (y_train, y_test) = _halves(u[: len(a)], mix(seed, 0)), _halves(u[len(a) :], mix(seed, 1))
    logit = _train(network or _mlp(u.shape[1], seed), x_train, y_train, mix(seed, 2))
    with torch.no_grad():
        of_x, of_y = logit(x_test).flatten().double(), logit(y_test).flatten().double()
    n, m = len(of_x), len(of_y)
    pool = torch.cat([of_x, of_y])
    sums = rearrangements(n, m, permutations, mix(seed, 3)) @ pool
    gaps = sums / n - (pool.sum() - sums) / m
    p = permutation_p_value(gaps[0], gaps[1:])
    right = [(side > 0).double() + 0.5 * (side == 0).double() for side in (of_x, -of_y)]  # a logit of 0 counts half
    log_loss = _balanced(F.softplus(-of_x), F.softplus(of_y), "nats")
    shannon = replace(log_loss, value=LOG_2 - log_loss.value, relation="lower")
    info = {"log_loss": log_loss, "jensen_shannon": shannon}
    return HypothesisTest(_balanced(*right), p, "x and y have one law", info)


def _halves(rows: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    order = torch.randperm(len(rows), generator=generator_for(seed))
    return rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]


def _mlp(dims: int, seed: int) -> nn.Module:
    with seeded(seed):
        return nn.Sequential(nn.Linear(dims, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))


def _train(network: nn.Module, x: Tensor, y: Tensor, seed: int) -> nn.Module:
    """Half of every batch from each set, whatever their sizes: the logit of equal laws is 0."""
    generator = generator_for(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    with torch.enable_grad():
        for _ in range(STEPS):
            picks = [rows[torch.randint(len(rows), (BATCH // 2,), generator=generator)] for rows in (x, y)]
            optimiser.zero_grad()
            (F.softplus(-network(picks[0])).mean() + F.softplus(network(picks[1])).mean()).backward()
            optimiser.step()
            rate.step()
    return network.eval()


def _balanced(of_x: Tensor, of_y: Tensor, unit: str = "1") -> Estimate:
    """The mean of the two sets' means, with its standard error."""
    value = 0.5 * float(of_x.mean() + of_y.mean())
    error = 0.5 * math.sqrt(sum(float(v.var(correction=0)) / len(v) for v in (of_x, of_y)))
    sizes = (len(of_x), len(of_y))
    return Estimate(value, error, method="estimate", unit=unit, n=sizes, protocol="learned on half, held-out half")
