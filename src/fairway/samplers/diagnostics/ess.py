"""Effective sample size: how many independent draws would know as much.

The mean of N draws in m chains has the variance (sd^2 / N) tau with tau = 1 + 2 sum_t rho_t, so N / tau independent
draws would do. The autocorrelation mixes all chains, s_t their mean autocovariance at lag t (biased, by FFT), W the
mean variance within a chain and V = (n - 1) / n W + B with B the variance of the chains' means (Gelman et al. 2013,
section 11.5):

    rho_t = 1 - (W - s_t) / V

For a reversible chain P_k = rho_2k + rho_2k+1 is positive and falls (Geyer 1992): the sum stops before the first P_k
that is not positive, and P_k counts as no more than any before it. tau is at least 1 / log10 N. Chains that disagree
have a large V and hence a small ESS. `ess_bulk` reads normal scores of ranks, `ess_tail` the worse of the two events
"below the 5 % quantile" and "below the 95 % quantile" (Vehtari et al. 2021, section 4.3).
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from fairway.samplers.diagnostics.series import Series, per_entry, split


def autocovariance(chains: Tensor) -> Tensor:
    """Mean over chains of the biased autocovariance (entries, draws) of (entries, chains, draws).

    Spectra are averaged before they go back, so m chains cost one inverse transform.
    """
    n = chains.shape[2]
    size = 1 << (2 * n - 1).bit_length()  # zeros, so that the end does not meet the start
    spectrum = torch.fft.rfft(chains - chains.mean(2, keepdim=True), size)
    power = (spectrum.real.square() + spectrum.imag.square()).mean(1)
    return torch.fft.irfft(power, size)[:, :n] / n


def effective_size(chains: Tensor) -> Tensor:
    """ESS (entries,) of chains (entries, chains, draws); NaN for chains under 3 draws and for constant ones."""
    _, m, n = chains.shape
    if n < 3:
        return chains.new_full((len(chains),), math.nan)
    covariance = autocovariance(chains)
    within = covariance[:, :1] * n / (n - 1)
    total = covariance[:, :1] + (chains.mean(2).var(1)[:, None] if m > 1 else 0.0)
    rho = 1 - (within - covariance) / total
    rho[:, 0] = 1.0
    tau = geyer_sum(rho).clamp(min=1 / math.log10(m * n))
    return torch.where(total[:, 0] > 0, m * n / tau, math.nan)


def geyer_sum(rho: Tensor) -> Tensor:
    """tau = 1 + 2 sum rho_t (entries,) by the initial monotone sequence, from autocorrelations (entries, draws)."""
    n = rho.shape[1]
    rho = pad(rho, (0, 4))
    pairs = rho[:, : n // 2 * 2 + 2].unflatten(1, (-1, 2)).sum(2)
    limit = max((n - 4) // 2, 1)
    stops = pairs[:, : limit + 1] <= 0
    stops[:, limit] = True
    stop = stops.int().argmax(1, keepdim=True)
    kept = torch.arange(limit, device=rho.device) < stop
    tau = -1 + 2 * torch.where(kept, pairs[:, :limit].cummin(1).values, 0.0).sum(1)
    # The even term of the pair that stopped the sum still counts where it is positive (Stan's improvement).
    even, pair = rho.gather(1, 2 * stop)[:, 0], pairs.gather(1, stop)[:, 0]
    return tau + torch.where((even > 0) | (pair >= 0), even, 0.0)


@per_entry
def ess_bulk(draws: Series) -> Tensor:
    """ESS of the ranks' normal scores: of the bulk of the distribution; defined without any moments.

    Args:
        draws: (draws, chains, *U).

    Returns:
        (*U), in draws; NaN where draws are not finite or all the same.

    >>> import torch
    >>> x = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))
    >>> 3500 < float(ess_bulk(x)) < 4500, float(ess_bulk(x.cumsum(0))) < 20
    (True, True)
    """
    return effective_size(draws.scores)


@per_entry
def ess_tail(draws: Series) -> Tensor:
    """The smaller ESS of the 5 % and the 95 % quantile. Args and result as `ess_bulk`."""
    low, high = (_of_quantile(draws, probability) for probability in (0.05, 0.95))
    return torch.minimum(low, high)


@per_entry
def ess_quantile(draws: Series, probability: float) -> Tensor:
    """ESS of a quantile, 0 < probability < 1: of the event x <= quantile. Else as `ess_bulk`."""
    return _of_quantile(draws, probability)


@per_entry
def ess_median(draws: Series) -> Tensor:
    """ESS of the median. Args and result as `ess_bulk`."""
    return _of_quantile(draws, 0.5)


@per_entry
def ess_mean(draws: Series) -> Tensor:
    """ESS of the mean (the draws need a variance). Args and result as `ess_bulk`."""
    return effective_size(draws.halves)


@per_entry
def ess_sd(draws: Series) -> Tensor:
    """ESS of the standard deviation: of (x - mean)^2 (the draws need a fourth moment). Else as `ess_bulk`."""
    return effective_size(split(squares(draws)))


@per_entry
def ess_raw(draws: Series) -> Tensor:
    """ESS of the chains as they are, neither split nor ranked. Args and result as `ess_bulk`."""
    return effective_size(draws.values)


def squares(draws: Series) -> Tensor:
    """(x - mean)^2 with the mean of all chains, (entries, chains, draws)."""
    return (draws.values - draws.values.mean((1, 2), keepdim=True)).square()


def _of_quantile(draws: Series, probability: float) -> Tensor:
    if not 0 < probability < 1:
        raise ValueError(f"expected a probability between 0 and 1, both excluded, got {probability}")
    below = draws.values <= draws.quantile(probability)[:, None, None]
    return effective_size(split(below.to(draws.values.dtype)))
