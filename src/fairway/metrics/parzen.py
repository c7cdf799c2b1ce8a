"""Parzen windows: the log density of test rows under a kernel estimate from samples. Never a ranking.

    log p_h(x) = log 1/n sum_i N(x; s_i, h^2 I),   h the best of a grid on validation rows         nats, data units

(Parzen 1962; as a score of generators Breuleux et al. 2011.) It is the log-likelihood of *another* model, the samples
smeared by h, and in high dimension n would have to grow exponentially before the two meet (Theis, van den Oord and
Bethge 2016, section 3.2). On 8 x 8 digits (64 dimensions, 900 training rows, dequantised, pixels in [0, 1]):

    as a "model"                       Parzen, nats      its own log-likelihood, nats
    900 training images, memorised           30          minus infinity, it is no density
    900 samples of a mixture of 20           16          60
    10,000 of them                           22          60
    50,000 of them                           25          60

The memorised images beat the model by 14 nats, and the estimate of the model is 35 to 44 nats below what is known
exactly; no affordable number of samples closes either gap. So the relation of the result is "none", which no ranking
takes (`Likelihood.comparable`), and the protocol names windows and bandwidth. Use it to recognise old numbers.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fairway.core.likelihood import Likelihood
from fairway.core.numerics import LOG_2PI
from fairway.metrics.divergence.rows import two_sets

BLOCK = 256  # rows of a matrix of distances at once


def parzen(samples: Any, x: Any, validation: Any, *, bandwidths: Sequence[float] | None = None) -> Likelihood:
    """Log density of x (m, *E) under Gaussian windows around samples (n, *E), with relation "none".

    Args:
        validation: (k, *E) rows that choose the bandwidth; neither training nor test rows.
        bandwidths: to choose from, data units; None to search from 1/300 to 3 times the spread of the samples.

    Raises:
        ValueError: rows that do not match, values that are not finite, a bandwidth not above 0.

    >>> s = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    >>> found = parzen(s[:300], s[300:400], s[400:])
    >>> found.relation, found.comparable(found)
    ('none', False)
    """
    windows, rows = two_sets(samples, x)
    h = best_bandwidth(windows, validation, bandwidths)
    value = window_log_density(windows, rows, [h])[0]
    unknown = torch.full_like(value, float("nan"))  # the error is the samples', which one set of them does not show
    protocol = f"Parzen windows, {len(windows)} samples, bandwidth {h:.4g}: not a likelihood of the model"
    return Likelihood(value, "none", "estimate", unknown, torch.full((len(rows),), rows.shape[1]), protocol)


def best_bandwidth(samples: Any, validation: Any, bandwidths: Sequence[float] | None = None) -> float:
    """The bandwidth under which validation rows (k, *E) are most likely, on average.

    >>> grid = [0.01, 0.5, 100.0]
    >>> best_bandwidth(torch.linspace(-1, 1, 20).reshape(20, 1), torch.tensor([[0.3], [-0.4]]), grid)
    0.5
    """
    windows, rows = two_sets(samples, validation)
    if bandwidths is not None:
        return _best(windows, rows, list(bandwidths))
    spread = float(windows.var(0, correction=0).mean().sqrt())
    coarse = _best(windows, rows, [spread * 10 ** (k / 4) for k in range(-10, 3)])
    return _best(windows, rows, [coarse * 10 ** (k / 20) for k in range(-5, 6)])


def window_log_density(samples: Tensor, x: Tensor, bandwidths: Sequence[float]) -> Tensor:
    """(H, m): log density of rows x (m, D) under windows around samples (n, D), for each of H bandwidths."""
    n, dims = samples.shape
    parts = []
    for block in x.split(BLOCK):
        squares = torch.cdist(block, samples).square()
        parts.append(torch.stack([(-0.5 / h**2 * squares).logsumexp(1) for h in bandwidths]))
    scales = torch.tensor(bandwidths, dtype=torch.float64).log().unsqueeze(1)
    return torch.cat(parts, 1) - math.log(n) - dims * (scales + 0.5 * LOG_2PI)


def _best(samples: Tensor, validation: Tensor, grid: list[float]) -> float:
    if not grid or min(grid) <= 0:
        raise ValueError(f"expected bandwidths above 0, got {grid}; where all samples are equal, give them")
    return grid[int(window_log_density(samples, validation, grid).mean(1).argmax())]
