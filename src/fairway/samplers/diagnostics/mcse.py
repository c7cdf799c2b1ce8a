"""Monte Carlo standard errors: how far an estimate from these draws may be off, in the unit of the draws.

    mean        sd / sqrt(ess_mean)
    sd          sqrt(Var((x - mean)^2) / ess_sd) / (2 sd)                       the delta method on the variance
    quantile    half the gap of the order statistics at the 16 % and 84 % points of Beta(ess p + 1, ess (1 - p) + 1)

the last because the place of a quantile among S independent draws is Beta; it needs no density estimate (Vehtari et
al. 2021, section 4.4). torch has no inverse Beta: `beta_quantile` inverts the continued fraction of the incomplete
Beta function (Press et al., Numerical Recipes, section 6.4) by Newton's method inside a bracket.
"""

import math

import torch
from torch import Tensor

from fairway.samplers.diagnostics.ess import ess_mean, ess_quantile, ess_sd, squares
from fairway.samplers.diagnostics.series import Series, per_entry

ONE_SIGMA = 0.1586553, 0.8413447  # Phi(-1), Phi(1) to the digits of the paper


@per_entry
def mcse_mean(draws: Series) -> Tensor:
    """Standard error of the mean.

    Args:
        draws: (draws, chains, *U).

    Returns:
        (*U), in the unit of the draws; NaN where draws are not finite or all the same.

    >>> import torch
    >>> x = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))
    >>> abs(float(mcse_mean(x)) - 4000**-0.5) < 1e-3
    True
    """
    return draws.values.flatten(1).std(1) / ess_mean(draws).sqrt()


@per_entry
def mcse_sd(draws: Series) -> Tensor:
    """Standard error of the standard deviation. Args and result as `mcse_mean`."""
    square = squares(draws)
    variance = square.mean((1, 2))
    of_variance = (square.square().mean((1, 2)) - variance.square()) / ess_sd(draws)
    return (of_variance / variance / 4).sqrt()


@per_entry
def mcse_quantile(draws: Series, probability: float) -> Tensor:
    """Standard error of a quantile, 0 < probability < 1. Else as `mcse_mean`."""
    size = draws.ordered.shape[1]
    ess = ess_quantile(draws, probability)
    known = torch.nan_to_num(ess, nan=1.0)
    low, high = beta_quantile(
        torch.tensor(ONE_SIGMA, dtype=torch.float64), known * probability + 1, known * (1 - probability) + 1
    )
    low_place = (low * size).floor().long().clamp(1, size) - 1
    high_place = (high * size).ceil().long().clamp(1, size) - 1
    gap = draws.ordered.gather(1, torch.stack([low_place, high_place], 1)).diff(dim=1)[:, 0]
    return torch.where(ess.isnan(), math.nan, gap / 2)


@per_entry
def mcse_median(draws: Series) -> Tensor:
    """Standard error of the median. Args and result as `mcse_mean`."""
    return mcse_quantile(draws, 0.5)


def beta_quantile(probability: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Quantiles (P, B) of Beta(a, b), a and b (B,), at probabilities (P,); a, b >= 1."""
    a, b = a.to(torch.float64), b.to(torch.float64)
    wanted = probability.to(a)[:, None].expand(-1, len(a))
    a, b = a.expand_as(wanted), b.expand_as(wanted)
    mean, low, high = a / (a + b), torch.zeros_like(wanted), torch.ones_like(wanted)
    x = mean + torch.special.ndtri(wanted) * (mean * (1 - mean) / (a + b + 1)).sqrt()
    x = torch.where((x > 0) & (x < 1), x, mean)
    for _ in range(100):
        error = beta_cdf(x, a, b) - wanted
        low, high = torch.where(error < 0, x, low), torch.where(error > 0, x, high)
        guess = x - error / _log_density(x, a, b).exp()
        guess = torch.where((guess > low) & (guess < high), guess, (low + high) / 2)
        moved, x = (guess - x).abs(), torch.where(error == 0, x, guess)
        if bool((moved <= 1e-10 * x).all()):
            break
    return x


def beta_cdf(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The regularised incomplete Beta function I_x(a, b), elementwise for 0 < x < 1."""
    swap = x > (a + 1) / (a + b + 2)  # the fraction converges fast below the mean: use I_x(a, b) = 1 - I_1-x(b, a)
    x, a, b = torch.where(swap, 1 - x, x), torch.where(swap, b, a), torch.where(swap, a, b)
    tail = _log_density(x, a, b).exp() * x * (1 - x) / a * _beta_fraction(x, a, b)
    return torch.where(swap, 1 - tail, tail)


def _log_density(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    normaliser = torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b)
    return normaliser + (a - 1) * x.log() + (b - 1) * (-x).log1p()


def _beta_fraction(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """1 / (1 + d1 / (1 + d2 / (1 + ...))) from the back; O(sqrt(a + b)) terms are enough below the mean."""
    terms = 40 + 3 * int(float((a + b).max()) ** 0.5)
    m = torch.arange(1.0, terms, dtype=x.dtype, device=x.device).reshape(-1, *[1] * x.ndim)
    odd = -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
    even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
    value = torch.ones_like(x)
    for before, after in zip(odd.flip(0), even.flip(0), strict=True):
        value = 1 + before / (1 + after / value)
    return 1 / value
