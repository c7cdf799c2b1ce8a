"""Clauses on lower bounds: below the density where both are known, and of a mass of at most one.

    bound(x) <= log p(x)   =>   int exp(E bound) dx <= int p dx = 1

so a bound that forgets a term, or adds a log-determinant with the wrong sign, shows even where the density itself
cannot be computed: counted data under a dequantised model, or a latent variable model.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasBound
from fairway.testing.check import check, expect, expect_close
from fairway.testing.density import has_log_prob, on_a_plane
from fairway.testing.quadrature import GRIDS, Chart, enumerable, every_value, integrate_density
from fairway.testing.subject import Subject

SAMPLES, LISTED = 24, 512


def _only_a_bound(model: Any) -> bool:
    """Bounds that are not simply log_prob."""
    return bool(model.supports(HasBound) and (isinstance(model, HasBound) or not has_log_prob(model)))


@check(lambda model: model.supports(HasBound), states=("trained",))
def bound_follows_the_seed(s: Subject) -> None:
    x, context = s.rows(6)
    bound = s.model.bound(x, context, generator=0)
    expect(bound.shape == (6,) and bool(bound.isfinite().all()), f"bound of 6 rows: {bound}")
    expect_close(s.model.bound(x, context, generator=0), bound, "the same seed", rtol=0, atol=0)
    expect_close(s.model.bound(x, context, generator=0, batch_size=4), bound, "with batch_size=4", 1e-6, 1e-6)
    fewer = s.model.bound(x[:3], None if context is None else context[:3], generator=0)
    expect_close(fewer, bound[:3], "fewer rows", 1e-6, 1e-6)


@check(lambda model: model.supports(HasBound), states=("trained",))
def bound_is_minus_the_sum_of_its_terms(s: Subject) -> None:
    x, context = s.rows(6)
    terms = s.model.bound_terms(x, context, generator=0)
    expect(all(value.shape == (6,) for value in terms.values()), "terms of 6 rows must have shape (6,)")
    total = torch.stack(list(terms.values())).sum(0)
    expect_close(-total, s.model.bound(x, context, generator=0), "minus the sum of the terms", 1e-9, 1e-9)


@check(lambda model: isinstance(model, HasBound) and model.supports(HasBound) and has_log_prob(model))
def bound_is_below_log_prob(s: Subject) -> None:
    x, context = s.rows(64)
    gap = s.model.bound(x, context, samples=SAMPLES, generator=0) - s.model.log_prob(x, context)
    error = float(gap.std()) / 8
    expect(float(gap.mean()) < 1e-6 + 4 * error, f"the bound exceeds log_prob by {float(gap.mean()):.3g} on average")


@check(lambda model: _only_a_bound(model) and (on_a_plane(model) or enumerable(model.event, LISTED)))
def bound_has_a_mass_of_at_most_one(s: Subject) -> None:
    if s.event.counted:
        values = every_value(s.event)
        total = float(_bound(s, values).exp().sum())
    else:
        chart = Chart.around(s.event, s.sample(1000, seed=11))
        total = integrate_density(lambda x: _bound(s, x), chart, 3e-3, GRIDS[:3]).total
    expect(total < 1.02, f"exp(bound) has a mass of {total:.4f}, more than one")
    expect(total > 0, "exp(bound) has no mass")


def _bound(s: Subject, x: Tensor) -> Tensor:
    """(n,): the mean of many draws, each a row of its own (quicker than `samples=`)."""
    many = x.unsqueeze(1).expand(len(x), SAMPLES, *x.shape[1:])
    with torch.no_grad():
        bound: Tensor = s.model.bound(many, s.contexts(len(x)), generator=1)
    return bound.double().mean(1)


CHECKS = [
    bound_follows_the_seed,
    bound_is_minus_the_sum_of_its_terms,
    bound_is_below_log_prob,
    bound_has_a_mass_of_at_most_one,
]
