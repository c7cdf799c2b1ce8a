"""P(x in A) under any model, with an interval that holds for rare events.

k hits of n independent draws: k ~ Binomial(n, p). The normal interval k/n +- 2 s says [0, 0] at k = 0; the exact one
(Clopper and Pearson 1934) inverts the binomial test, with B the beta law's quantiles:

    low = B(0.025; k, n - k + 1),     high = B(0.975; k + 1, n - k)        covers p at least 95 % of the time
    no hit:    p <= 1 - 0.05^(1/n), about 3 / n, at 95 %                   an upper bound is all there is to say
    no miss:   p >= 0.05^(1/n)

Weighted or correlated draws take the n of independent draws with the same error, n_eff = p (1 - p) / se^2 (Korn and
Graubard 1998): importance sampling towards A makes it far larger than n.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from fairway.core.random import Seed
from fairway.metrics.estimate import Estimate
from fairway.metrics.expectation import DRAWS, values_of, weighted_draws

TAIL = 0.05


def event_probability(
    model: Any,
    event: Callable[[Tensor], Tensor],
    *,
    n: int = DRAWS,
    context: Any = None,
    sampler: Any = None,
    generator: Seed = None,
) -> Estimate:
    """P(x in A) under a model.

    Args:
        event: (n, *E) rows in data units -> (n,) booleans, whether each is in A.
        n: draws.
        context: one context (*C), for conditional models.
        sampler: a sampler, a kernel or a registered name; None for the model's own.
        generator: seed.

    Returns:
        The share of draws in A with its 95 % interval; where no draw was (or every one), the one-sided bound, with
        relation "upper" ("lower").

    Raises:
        ValueError: `event` does not return one boolean per row.
        ImportError: SciPy is not there.

    >>> from fairway.core.event import Event
    >>> from fairway.models.classical.gaussian import Gaussian
    >>> print(event_probability(Gaussian(Event((1,))), lambda x: x[:, 0] > 1e6, n=1000, generator=0))
    <= 0.002991 (estimate)
    """
    draws = weighted_draws(model, n, context, sampler, generator)
    inside = event(draws.x)
    if tuple(inside.shape) != (len(draws.x),) or inside.is_floating_point():
        raise ValueError(f"expected event to return ({len(draws.x)},) booleans, got {inside.dtype} {inside.shape}")
    values = values_of(lambda _: inside, draws.x)
    p, error, hits = float(draws.mean(values)), float(draws.error(values)), int(values.sum())
    known: dict[str, Any] = {"method": "estimate", "n": (len(values),), "info": {"hits": hits, **draws.info}}
    if hits in (0, len(values)):
        return _one_sided(hits == 0, draws.ess, known)
    return Estimate(p, error, interval=exact_interval(p, p * (1 - p) / error**2), **known)


def exact_interval(p: float, n: float) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a share p of n (effective) draws.

    >>> [round(end, 4) for end in exact_interval(0.01, 100)]
    [0.0003, 0.0545]
    """
    try:
        from scipy.special import betaincinv
    except ImportError as error:
        raise ImportError("intervals of probabilities need SciPy: pip install 'fairway[metrics]'") from error
    k = p * n
    low = float(betaincinv(k, n - k + 1, TAIL / 2)) if k > 0 else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - TAIL / 2)) if k < n else 1.0
    return low, high


def _one_sided(none: bool, ess: float, known: dict[str, Any]) -> Estimate:
    least = TAIL ** (1 / ess)
    if none:
        return Estimate(1 - least, float("nan"), "upper", interval=(0.0, 1 - least), **known)
    return Estimate(least, float("nan"), "lower", interval=(least, 1.0), **known)
