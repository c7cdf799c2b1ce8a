"""Held-out log-likelihood, with what must be known to read it.

    the model answers    value, nats in data units                    relation   mc_error
    log_prob             log p(x)                                     equal      0
      by probes          mean over k of its estimate by probes k      equal      std over k / sqrt(samples)
    bound only           mean over k of log p(u_k) + ladj_k, or of    lower      std over k / sqrt(samples)
                         the evidence lower bound with its noise k
    neither              nothing (NaN per row)                        none       0

The *method* is the weakest link of the chain. "exact" is a closed form. "estimate" is a Monte Carlo mean, unbiased and
with its error stated: a dequantised model's density may be exact, but its bound E_noise[log p(x + noise)] is an average
over draws of the noise. So is a density whose trace is seen through random probes (Hutchinson 1989): `log_prob` itself
holds them fixed, the same for all rows, with an error that no mean over rows takes away; here every row has its own,
drawn anew for each k. "numerical" is a solver's value, whose discretisation error no `mc_error` contains; so a
dequantised ODE density stays "numerical", and its "lower" holds up to the error of the solver.
"""

import math
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.capability import HasBound, HasLogProb
from fairway.core.likelihood import Likelihood, Method
from fairway.core.random import Rows, mix


@torch.no_grad()
def evaluate(
    model: Any, x: Any, context: Any = None, *, samples: int = 8, seed: int = 0, protocol: str = ""
) -> Likelihood:
    """Log-likelihood of rows under a model, with its relation, method and errors.

    Args:
        model: any `fairway` model.
        x: (n, *E) rows in data units, or a `Dataset` (which brings its protocol).
        context: (n, *C), for conditional models.
        samples: draws of the noise per row, where the model answers only a bound or an estimate by probes.
        seed: of these draws.
        protocol: how the data were prepared; numbers under different protocols are never ranked.

    Raises:
        ValueError: shapes or values that do not fit the model's event, no rows, or fewer than one draw.
    """
    x, protocol = getattr(x, "x", x), protocol or getattr(x, "protocol", "")
    rows = as_tensor(x)
    if samples < 1:
        raise ValueError(f"expected samples of at least 1, got {samples}")
    if rows.ndim != len(model.event.shape) + 1 or not len(rows):
        raise ValueError(f"expected rows of shape (n, *{tuple(model.event.shape)}), got {tuple(rows.shape)}")
    known = {"dims": _dims(rows), "protocol": protocol, "levels": model.event.levels}
    zero = torch.zeros(len(rows), dtype=torch.float64)
    if model.supports(HasLogProb):
        value, error = _density(model, rows, context, samples, seed)
        return Likelihood(value, "equal", model.likelihood, error, **known)
    if model.supports(HasBound):
        value, error, terms = _bound(model, rows, context, samples, seed)
        return Likelihood(value, "lower", _weakest(model), error, terms=terms, **known)
    return Likelihood(torch.full_like(zero, float("nan")), "none", "none", zero, **known)


def nll(model: Any, x: Any, context: Any = None, *, generator: int) -> float:
    """Mean of -log p(x), or of minus its bound with one draw per row: nats per entry, data units."""
    likelihood = evaluate(model, x, context, samples=1, seed=generator)
    return float((-likelihood.value / likelihood.dims).mean())


def _dims(rows: Tensor) -> Tensor:
    """Observed entries per row."""
    if rows.is_floating_point() and bool(torch.isnan(rows).any()):
        return (~torch.isnan(rows)).flatten(1).sum(1)
    return torch.full((len(rows),), max(rows[0].numel(), 1))


def _density(model: Any, x: Tensor, context: Any, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """log p(x) (n,) and its standard error (n,): 0 unless it is an estimate, NaN where one cannot be told."""
    if model.likelihood != "estimate" or not hasattr(model, "_log_prob_estimate"):
        value = model.log_prob(x, context).double().cpu()
        return value, torch.full_like(value, math.nan if model.likelihood == "estimate" else 0.0)

    def draw(k: int) -> Tensor:
        def rows_of(x: Tensor, context: Tensor | None, start: int) -> Tensor:
            u, ladj = model._to_model(x)
            rows = Rows(mix(seed, k), len(u), start, model.dtype, model.device)
            return (model._log_prob_estimate(u, context, rows) + ladj).double()

        values: Tensor = model._over_rows(rows_of, x, context, None)
        return values.cpu()

    values = torch.stack([draw(k) for k in range(samples)])
    spread = values.std(0) if samples > 1 else torch.full_like(values[0], math.nan)
    return values.mean(0), spread / samples**0.5


def _bound(model: Any, x: Tensor, context: Any, samples: int, seed: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Mean over draws (n,), its standard error (n,), and the mean of each named cost (n,)."""
    draws = [model.bound_terms(x, context, generator=mix(seed, k)) for k in range(samples)]
    values = torch.stack([-torch.stack(list(terms.values())).double().sum(0) for terms in draws]).cpu()
    error = values.std(0) / samples**0.5 if samples > 1 else torch.zeros_like(values[0])
    terms = {name: torch.stack([t[name].double() for t in draws]).mean(0).cpu() for name in draws[0]}
    return values.mean(0), error, terms


def _weakest(model: Any) -> Method:
    """The method of a bound: its Monte Carlo mean is an estimate, unless a solver adds an error of its own."""
    return "numerical" if model.likelihood == "numerical" else "estimate"
