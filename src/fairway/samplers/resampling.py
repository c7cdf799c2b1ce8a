"""Weights of a population: how even they are, how far one may go before they are not, and what they leave alive.

    share(w) = (sum w)^2 / (N sum w^2)         the effective sample size of weights w, as a share of N

Systematic resampling takes N equally spaced points, shifted together by one uniform number, and reads off whose stretch
of the cumulated weights each falls into: i is picked N w_i times on average, and never more than one away from that
(Kitagawa 1996; Douc & Cappé 2005). Where the points lie in the order of a curve that fills space, the same holds for
every region that is a stretch of it, a mode say: its share of the population is kept, up to one point (Gerber, Chopin
& Whiteley 2019). Here the curve is Morton's: interleave the binary digits of the coordinates.
"""

import math

import torch
from torch import Tensor

from fairway.core.sampler import systematic

__all__ = ("along_curve", "log_mean", "next_step", "share", "systematic")

DIGITS, LONGEST = 6, 60  # binary digits of one coordinate, and of all
ROUNDS = 24  # of bisection
SMALLEST = 60.0  # nats below what is left of the path, where the bisection starts


def share(log_weights: Tensor) -> Tensor:
    """Effective share (...) of log weights (..., N): 1 where they are equal, 1 / N where one has it all.

    >>> round(float(share(torch.tensor([0.0, 0.0, -50.0, -50.0]))), 6)
    0.5
    """
    log_n = math.log(log_weights.shape[-1])
    return (2 * log_weights.logsumexp(-1) - (2 * log_weights).logsumexp(-1) - log_n).exp()


def next_step(f: Tensor, left: float, wanted: float) -> float:
    """The largest step, `left` at most, whose weights exp(step f) keep the wanted share; by bisection in its logarithm.

    Args:
        f: (N,) nats; what is minus infinity is out whatever the step, and does not count.

    >>> f = torch.tensor([0.0, 100.0])          # share (1 + e)^2 / (2 (1 + e^2)) with e = exp(-100 step)
    >>> round(next_step(f, 1.0, 0.9), 4), next_step(f, 0.001, 0.9)
    (0.0069, 0.001)
    """
    f = f[torch.isfinite(f)].double()
    f = f - f.max()
    if float(share(left * f)) >= wanted:
        return left
    low, high = math.log(left) - SMALLEST, math.log(left)
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        good = float(share(math.exp(middle) * f)) >= wanted
        low, high = (middle, high) if good else (low, middle)
    return math.exp(low)


def along_curve(v: Tensor) -> Tensor:
    """The order (..., n) of points v (..., n, D) along Morton's curve; most of v should lie within (-2, 2).

    >>> along_curve(torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.1, -1.1]])).tolist()
    [3, 1, 2, 0]
    """
    v = v[..., : LONGEST // 2]
    digits = min(DIGITS, LONGEST // v.shape[-1])
    level = (torch.special.ndtr(v.nan_to_num()) * 2**digits).long().clamp(max=2**digits - 1)
    places = torch.arange(digits - 1, -1, -1, device=v.device)
    binary = (level.unsqueeze(-2) >> places.unsqueeze(-1) & 1).flatten(-2)  # most significant digits first
    return (binary << torch.arange(binary.shape[-1] - 1, -1, -1, device=v.device)).sum(-1).argsort(dim=-1, stable=True)


def log_mean(log_Z: Tensor) -> tuple[float, float]:
    """log of the mean of exp(log_Z) (M,), independent estimates, and its standard error by the delta method (infinite
    for one alone)."""
    m = len(log_Z)
    total = float(log_Z.logsumexp(0)) - math.log(m)
    return total, float((log_Z - total).exp().std()) / math.sqrt(m) if m > 1 else math.inf
