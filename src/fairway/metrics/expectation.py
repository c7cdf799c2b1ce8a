"""E h(x) under any model, by Monte Carlo, with its standard error.

    draws                          mean                       standard error               effective draws
    independent x_1..x_n           sum h_i / n                s / sqrt n                   n
    weighted, w_i ~ p / q          sum w_i h_i,  sum w = 1    sqrt sum w_i^2 (h_i - m)^2   1 / sum w_i^2
    correlated (Markov chains)     sum h_i / n                s / sqrt ess                 ess, as the sampler says

The weighted mean is self-normalised (Owen 2013, section 9.2): no log Z is needed, its bias is O(1/n), and its error is
the delta method's. A sampler gives `Draws.log_weights` or `Draws.ess`; of an ess per entry the smallest is taken, and
never more than n. All of these errors are blind to what no draw has seen: a chain that missed a mode is sure of itself.
Shapes: x (n, *E) data units, h(x) (n, *K), in whatever unit h has; sums in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fairway.core.numerics import expand_as_rows
from fairway.core.random import Seed
from fairway.metrics.estimate import Estimate

DRAWS = 10_000


@dataclass(frozen=True)
class WeightedDraws:
    """Rows and what each counts.

    Args:
        x: (n, *E) data units. weights: (n,) float64, of sum 1.
        ess: number of independent draws that they are worth.
        inflation: variance of a mean over that of as many independent draws.
        info: what travels with every number: `ess`, `sampler`, and R-hat where there are chains.
    """

    x: Tensor
    weights: Tensor
    ess: float
    inflation: float
    info: dict[str, Any]

    def mean(self, values: Tensor) -> Tensor:
        """(n, *K) -> (*K)."""
        return (expand_as_rows(self.weights, values) * values).sum(0)

    def error(self, values: Tensor) -> Tensor:
        """(n, *K) -> (*K): standard error of `mean`."""
        gaps = expand_as_rows(self.weights, values) * (values - self.mean(values))
        return (self.inflation * gaps.square().sum(0)).sqrt()


@dataclass(frozen=True)
class Estimates:
    """Many numbers of one kind; `estimates[i]` is one of them as an `Estimate`.

    Args:
        value: (*K) float64. standard_error: (*K).
        n: draws behind each. unit: of value and error.
        info: `ess`, the independent draws that they are worth, `sampler`, and R-hat where there are chains.
    """

    value: Tensor
    standard_error: Tensor
    n: int
    info: dict[str, Any]
    unit: str = "units of h"

    def __getitem__(self, index: Any) -> Estimate:
        value, error = float(self.value[index]), float(self.standard_error[index])
        return Estimate(value, error, method="estimate", unit=self.unit, n=(self.n,), info=self.info)


def expectation(
    model: Any,
    h: Callable[[Tensor], Tensor],
    *,
    n: int = DRAWS,
    context: Any = None,
    sampler: Any = None,
    generator: Seed = None,
) -> Estimate:
    """E h(x) under a model, for a scalar h.

    Args:
        h: (n, *E) rows in data units -> (n,) values.
        n: draws.
        context: one context (*C), for conditional models.
        sampler: a sampler, a kernel or a registered name; None for the model's own.
        generator: seed.

    Raises:
        ValueError: h returns another shape, or values that are not finite; a batch of contexts.

    >>> from fairway.core.event import Event
    >>> from fairway.models.classical.gaussian import Gaussian
    >>> model = Gaussian(Event((2,)))
    >>> model.set_components(torch.ones(1), torch.zeros(1, 2), torch.eye(2).unsqueeze(0))
    >>> found = expectation(model, lambda x: x.square().sum(1), generator=0)
    >>> abs(found.value - 2) < 4 * found.standard_error < 0.1
    True
    """
    found = expectations(model, h, n=n, context=context, sampler=sampler, generator=generator)
    if found.value.ndim:
        raise ValueError(
            f"expected h to return one value per row, (n,), got {tuple(found.value.shape)} each; use expectations"
        )
    return found[()]


def expectations(
    model: Any,
    h: Callable[[Tensor], Tensor],
    *,
    n: int = DRAWS,
    context: Any = None,
    sampler: Any = None,
    generator: Seed = None,
) -> Estimates:
    """E h(x) under a model, for an h with values of any shape: (n, *E) -> (n, *K). Arguments as for `expectation`."""
    draws = weighted_draws(model, n, context, sampler, generator)
    return _estimates(draws, values_of(h, draws.x))


def mean(model: Any, **options: Any) -> Estimates:
    """E x, entry by entry (*E), data units; options as for `expectation`."""
    return moment(model, 1, **options)


def moment(model: Any, order: int, **options: Any) -> Estimates:
    """E x^order, entry by entry (*E), in data units to the power `order`; options as for `expectation`.

    Raises:
        ValueError: an order below 1.
    """
    if order < 1:
        raise ValueError(f"expected an order of at least 1, got {order}")
    found = expectations(model, lambda x: x.double() ** order, **options)
    return replace(found, unit="data units" if order == 1 else f"data units^{order}")


def variance(
    model: Any, *, n: int = DRAWS, context: Any = None, sampler: Any = None, generator: Seed = None
) -> Estimates:
    """E (x - E x)^2, entry by entry (*E), in squared data units, without the bias of the estimated mean.

    The error is that of the mean of (x - m)^2: that m is estimated too is of a smaller order.
    """
    draws = weighted_draws(model, n, context, sampler, generator)
    rows = draws.x.double()
    found = _estimates(draws, (rows - draws.mean(rows)).square())
    unbiased = 1 / (1 - 1 / draws.ess) if draws.ess > 1 else float("nan")
    return replace(
        found, value=found.value * unbiased, standard_error=found.standard_error * unbiased, unit="data units^2"
    )


@torch.no_grad()
def weighted_draws(model: Any, n: int, context: Any, sampler: Any, generator: Seed) -> WeightedDraws:
    """Draws of a model with what each counts.

    Raises:
        ValueError: a batch of contexts, or weights that do not sum to a positive number.
    """
    draws = model.draw(n, context=context, sampler=sampler, generator=generator)
    x = draws.samples
    if x.ndim != len(model.event.shape) + 1:
        raise ValueError("expected one context (*C) or none, got a batch; ask for one expectation per context")
    rows = len(x)  # a sampler that resamples may keep another number than n
    weights = _normalised(draws.log_weights, rows)
    inflation = 1.0 if draws.ess is None else max(1.0, rows / float(torch.as_tensor(draws.ess).min()))
    ess = (rows if draws.log_weights is None else 1 / float(weights.square().sum())) / inflation
    name = sampler if isinstance(sampler, str) else type(sampler or model.default_sampler()).__name__
    info = {"ess": ess, "sampler": name}
    if draws.rhat is not None:
        info["rhat"] = float(torch.as_tensor(draws.rhat).max())
    return WeightedDraws(x, weights.to(x.device), ess, inflation, info)


@torch.no_grad()
def values_of(h: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """h(x) as float64 (n, *K), checked.

    Raises:
        ValueError: not one value per row, or values that are not finite.
    """
    values = torch.as_tensor(h(x), device=x.device).double()
    if not values.ndim or len(values) != len(x):
        raise ValueError(f"expected h to return ({len(x)}, ...), one value per row, got {tuple(values.shape)}")
    wrong = (~torch.isfinite(values.flatten(1) if values.ndim > 1 else values.unsqueeze(1))).any(1)
    if bool(wrong.any()):
        raise ValueError(f"expected finite values of h, got one that is not at draw {int(wrong.nonzero()[0])}")
    return values


def _normalised(log_weights: Tensor | None, n: int) -> Tensor:
    """(n,) weights of sum 1."""
    if log_weights is None:
        return torch.full((n,), 1 / n, dtype=torch.float64)
    weights = (log_weights.detach().double() - log_weights.max()).exp()
    if not bool(weights.sum() > 0):
        raise ValueError("expected importance weights with a positive sum, got none; the proposal misses the target")
    return weights / weights.sum()


def _estimates(draws: WeightedDraws, values: Tensor) -> Estimates:
    return Estimates(draws.mean(values), draws.error(values), len(values), draws.info)
