"""Weighted draws: what their mean weight says of log Z, what they are worth, and how to make them equal.

    log Z = log 1/n sum_i w_i       standard error  sqrt(1/ess - 1/n)  (the delta method, relative to w)
    ess   = (sum w)^2 / sum w^2     n where all weights are equal, 1 where one draw carries the sum

w are unnormalised weights of n draws, given as logs, nats; a weight of zero is a log of minus infinity. If E w = Z, the
log of the mean is below log Z on average (Jensen), and rarely far above: P(log mean w > log Z + b) < e^-b (Markov).
Equal draws are made by systematic resampling.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fairway.core.random import Seed, seed_of
from fairway.core.sampler import Draws, equally_weighted


@dataclass(frozen=True)
class MeanWeight:
    """The mean of n weights.

    Args:
        log_mean: log 1/n sum w, nats; minus infinity where every weight is zero.
        error: its standard error, nats. ess: effective number of draws, 1 to n. n: draws.
    """

    log_mean: float
    error: float
    ess: float
    n: int


def mean_weight(log_weights: Tensor) -> MeanWeight:
    """The mean of weights given as logs (n,).

    Raises:
        ValueError: no weights, or one that is not a number.

    >>> mean_weight(torch.zeros(10))
    MeanWeight(log_mean=0.0, error=0.0, ess=10.0, n=10)
    """
    if log_weights.ndim != 1 or not len(log_weights) or bool(torch.isnan(log_weights).any()):
        raise ValueError(f"expected log weights (n,) that are numbers, got {tuple(log_weights.shape)} or NaN")
    log_w, n = log_weights.detach().double().cpu(), len(log_weights)
    total = torch.logsumexp(log_w, 0)
    if not bool(torch.isfinite(total)):
        return MeanWeight(float(total) - math.log(n), math.nan, 0.0, n)
    ess = min(float((2 * total - torch.logsumexp(2 * log_w, 0)).exp()), float(n))
    return MeanWeight(float(total) - math.log(n), math.sqrt(max(1 / ess - 1 / n, 0.0)), ess, n)


def resampled(draws: Draws, generator: Seed = 0) -> Draws:
    """As many equally weighted draws out of weighted ones (which repeat the heavy ones: no new information is made).

    Args:
        draws: with `log_weights`; without, they are equally weighted already and come back as they are.
        generator: seed.

    Raises:
        ValueError: every weight is zero.

    >>> weighted = Draws(torch.arange(4.0), log_weights=torch.tensor([0.0, -torch.inf, 0.0, -torch.inf]))
    >>> resampled(weighted).samples.tolist()
    [0.0, 0.0, 2.0, 2.0]
    """
    if draws.log_weights is None:
        return draws
    samples = equally_weighted(draws.samples, draws.log_weights, seed_of(generator))
    return replace(draws, samples=samples, log_weights=None)
