"""The log-likelihood of an energy model: what must be known of log Z, and which way the error goes.

    log p(x) = -energy(x) - log Z                                                                 nats, data units

    log Z (`log_normaliser`)                           relation of log Z    so that of log p(x)
    annealing from N(0, I) up (forward)                lower                upper: it flatters the model
    annealing from draws of the model down (reverse)   upper                lower: as good as the draws are exact
    a grid, in one to three dimensions                 equal                equal

A mode that the chains never found is missing in Z, so its mass is given to the others: what flatters a model most is a
bad sampler. Take the lower end of a bracket to rank. One error of log Z is shared by all rows: it does not average out
over them. Where log Z is no number, neither is the likelihood.

Counted data are dequantised: -energy is then an average over noise and a lower bound, and with a log Z from below
nothing is known of the sum.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.capability import HasEnergy, HasLogProb, require
from fairway.core.likelihood import Likelihood, Method, Relation
from fairway.core.random import Rows, Seed, seed_of
from fairway.metrics.estimate import Estimate
from fairway.metrics.evaluate import evaluate
from fairway.metrics.log_normaliser import POINTS, for_all_rows, grid_log_normaliser, log_normaliser

AGAINST: dict[str, Relation] = {"lower": "upper", "upper": "lower", "equal": "equal", "none": "none"}


def likelihood(
    model: Any,
    x: Any,
    context: Any = None,
    *,
    log_Z: Estimate | None = None,
    draws: int = 8,
    generator: Seed = 0,
    protocol: str = "",
) -> Likelihood:
    """Log-likelihood of rows; of an energy model with the log Z given, else on a grid in up to three dimensions, else
    by annealing from N(0, I) up (relation "upper").

    Args:
        x: (n, *E) rows in data units, or a `Dataset` (which brings its protocol).
        context: one context (*C) for all rows, for conditional models.
        log_Z: of the model under this context; its relation decides that of the result.
        draws: of the noise per row, where the data are dequantised.

    Raises:
        CapabilityError: a model without an energy.
        ValueError: rows that do not fit, or several contexts: each has a log Z of its own.
    """
    rows, protocol = as_tensor(getattr(x, "x", x)), protocol or getattr(x, "protocol", "")
    if rows.ndim != len(model.event.shape) + 1:
        raise ValueError(f"expected rows of shape (n, *{tuple(model.event.shape)}), got {tuple(rows.shape)}")
    given = for_all_rows(model, context, len(rows))
    if model.supports(HasLogProb) and log_Z is None:
        return evaluate(model, rows, given, protocol=protocol)
    require(model, (HasEnergy,), "a likelihood by its energy")
    if log_Z is None:
        on_grid = model.model_event.dims <= max(POINTS)
        log_Z = grid_log_normaliser(model, context) if on_grid else log_normaliser(model, context, generator=generator)
    value, noise = _log_unnormalised(model, rows, given, draws, seed_of(generator))
    relation, method = _relation(model.preprocess.density, log_Z)
    error = (noise.square() + log_Z.standard_error**2).sqrt()
    terms = {"log_unnormalised": value, "log_Z": torch.full_like(value, -log_Z.value)}
    dims = torch.full((len(rows),), max(rows[0].numel(), 1))
    return Likelihood(value - log_Z.value, relation, method, error, dims, protocol, model.event.levels, terms)


def _relation(density: str, log_Z: Estimate) -> tuple[Relation, Method]:
    """How log p(x) stands to the number, and how it was computed."""
    against = AGAINST[log_Z.relation]
    if density == "exact":
        return against, log_Z.method
    return ("none" if against in ("upper", "none") else "lower"), "estimate"


@torch.no_grad()
def _log_unnormalised(model: Any, x: Tensor, context: Any, draws: int, seed: int) -> tuple[Tensor, Tensor]:
    """-energy(x) (n,) in data units, float64, and its standard error: 0 unless noise is added to the data."""

    def once(k: int) -> Callable[[Tensor, Tensor | None, int], Tensor]:
        def rows_of(x: Tensor, context: Tensor | None, start: int) -> Tensor:
            rows = Rows(seed, len(x), start, model.dtype, model.device).spawn(k) if model.preprocess.random else None
            u, ladj = model._to_model(x, rows)
            return (model._log_unnorm(u, context) + ladj).double()

        return rows_of

    if not model.preprocess.random:
        value = model._over_rows(once(0), x, context, None).cpu()
        return value, torch.zeros_like(value)
    values = torch.stack([model._over_rows(once(k), x, context, None).cpu() for k in range(draws)])
    spread = values.std(0) if draws > 1 else torch.full_like(values[0], math.nan)
    return values.mean(0), spread / draws**0.5
