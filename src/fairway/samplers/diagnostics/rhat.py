"""R-hat: do several chains tell the same story?

With W the mean variance within a chain of n draws and B the variance of the chains' means,

    R-hat = sqrt((n - 1) / n + B / W)                                                1 when the chains agree

`rhat_raw` is this as it stands (Gelman & Rubin 1992): it misses a drift that all chains share, and says nothing of a
law without a variance. `rhat` cuts every chain in two and takes normal scores of the ranks, of the draws and of their
distance to the median, and the larger of the two (Vehtari et al. 2021, section 4.2): usable below 1.01.
"""

import torch
from torch import Tensor

from fairway.samplers.diagnostics.series import Series, per_entry


def potential_scale_reduction(chains: Tensor) -> Tensor:
    """R-hat (entries,) of chains (entries, chains, draws); infinite where every chain stands still elsewhere."""
    return from_moments(chains.mean(2), chains.var(2), chains.shape[2])


def from_moments(mean: Tensor, variance: Tensor, draws: int) -> Tensor:
    """R-hat (entries,) from the means and variances (entries, chains) of chains of equal length; NaN for one chain."""
    if mean.shape[1] < 2:
        return torch.full_like(mean[:, 0], torch.nan)
    return ((draws - 1) / draws + mean.var(1) / variance.mean(1)).sqrt()


@per_entry
def rhat(draws: Series) -> Tensor:
    """Rank-normalised split R-hat, folded and not, the larger one.

    Args:
        draws: (draws, chains, *U).

    Returns:
        (*U), no unit; NaN where draws are not finite or all the same.

    >>> import torch
    >>> agree = torch.randn(1000, 4, 2, generator=torch.Generator().manual_seed(0))
    >>> bool((rhat(agree) < 1.01).all()), bool((rhat(agree + torch.arange(4.0)[:, None]) > 1.1).all())
    (True, True)
    """
    return torch.maximum(potential_scale_reduction(draws.scores), potential_scale_reduction(draws.folded_scores))


@per_entry
def rhat_raw(draws: Series) -> Tensor:
    """R-hat of the chains as they are, neither split nor ranked.

    Args:
        draws: (draws, chains, *U).

    Returns:
        (*U), no unit; NaN for a single chain.
    """
    return potential_scale_reduction(draws.values)
