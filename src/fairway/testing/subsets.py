"""Clauses on subsets of the entries: marginals that integrate the joint, completions that follow the conditional.

p(all) = log_prob,   p(none) = 1,   p(x_a) = int p(x_a, x_b) dx_b,   p(x_b | x_a) = p(x_a, x_b) / p(x_a)
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasConditional, HasLogProb, HasMarginal
from fairway.core.event import Event
from fairway.testing.check import check, expect, expect_close
from fairway.testing.density import on_a_plane
from fairway.testing.quadrature import Chart, Mass, enumerable, every_value, integrate_density
from fairway.testing.statistics import ALARM, chi_square_p
from fairway.testing.subject import Subject

DRAWS = 2000


def _two_columns(model: Any) -> bool:
    return on_a_plane(model) and tuple(model.event.shape) == (2,)


def _both(model: Any) -> bool:
    return bool(model.supports(HasMarginal) and model.supports(HasLogProb))


@check(_both)
def marginal_of_all_and_of_none(s: Subject) -> None:
    x, context = s.rows(6, gaps=False)
    every, none = (torch.full(x.shape[1:], value, dtype=torch.bool) for value in (True, False))
    expect_close(s.model.log_marginal(x, every, context), s.model.log_prob(x, context), "all entries", 1e-6, 1e-6)
    expect_close(s.model.log_marginal(x, none, context), torch.zeros(6), "no entry", 0, 1e-6)
    some = (torch.arange(x.numel()).reshape(x.shape) + torch.arange(6).reshape(6, *[1] * (x.ndim - 1))) % 2 == 0
    one_by_one = [s.model.log_marginal(x[i], some[i], None if context is None else context[i]) for i in range(6)]
    expect_close(s.model.log_marginal(x, some, context), torch.stack(one_by_one), "a mask for every row", 1e-6, 1e-6)
    folded = None if context is None else context.unflatten(0, (3, 2))
    deep = s.model.log_marginal(x.unflatten(0, (3, 2)), some.unflatten(0, (3, 2)), folded)
    expect_close(deep.flatten(), torch.stack(one_by_one), "leading dims (3, 2)", 1e-6, 1e-6)
    if s.event.missing:
        holes = torch.where(some, x.double(), torch.nan)
        expect_close(s.model.log_prob(holes, context), torch.stack(one_by_one), "log_prob of rows with gaps", 1e-6)
    if not s.event.counted:
        holes = torch.where(some, x, torch.nan)
        expect_close(s.model.log_marginal(holes, some, context), torch.stack(one_by_one), "NaN where unobserved", 1e-6)


@check(lambda model: _both(model) and _two_columns(model))
def marginal_integrates_the_joint(s: Subject) -> None:
    for column in (0, 1):
        point, observed = s.rows(1, gaps=False)[0][0], torch.arange(2) == column
        got = s.model.log_marginal(point, observed, s.one_context())
        measured = _along_the_other(s, point, column)
        expect_close(got, torch.tensor(measured.total).log(), f"marginal of column {column}", 1e-4, 1e-4)


@check(lambda model: _both(model) and enumerable(model.event) and model.event.dims > 1)
def marginal_sums_the_joint(s: Subject) -> None:
    values = every_value(s.event)
    observed = torch.arange(s.event.dims).reshape(s.event.shape) % 2 == 0
    same = (values == s.x[0]).logical_or(~observed).flatten(1).all(1)
    joint = s.model.log_prob(values[same], s.contexts(int(same.sum())))
    got = s.model.log_marginal(s.x[0], observed, s.one_context())
    expect_close(got, joint.logsumexp(0), "marginal of every other entry", 1e-6, 1e-6)


@check(lambda model: model.supports(HasConditional))
def completions_keep_what_is_observed(s: Subject) -> None:
    x, context = s.rows(3, gaps=False)
    observed = torch.arange(s.event.dims).reshape(x.shape[1:]) % 2 == 0
    draws = s.model.complete(x, observed, 4, context=context, generator=0)
    expect(tuple(draws.shape) == (3, 4, *x.shape[1:]), f"3 rows, 4 draws: got {tuple(draws.shape)}")
    kept = torch.where(observed, draws.double(), 0.0)
    expect_close(kept, torch.where(observed, x.double(), 0.0).unsqueeze(1).expand_as(kept), "observed entries", 0, 0)
    again = s.model.complete(x, observed, 4, context=context, generator=0)
    expect_close(again, draws, "the same seed", 0, 0)
    expect((~observed).sum() == 0 or bool((draws[:, :1] != draws[:, 1:]).any()), "all completions are the same")


@check(lambda model: model.supports(HasConditional) and model.supports(HasLogProb) and _two_columns(model))
def completions_follow_the_conditional(s: Subject) -> None:
    point, observed = s.rows(1, gaps=False)[0][0], torch.tensor([True, False])
    law = s.model.conditional(point, observed, s.one_context())
    draws = law.sample(DRAWS, generator=5)[:, 1:]
    p = chi_square_p(*_along_the_other(s, point, 0).counts(draws, 24))
    expect(p > ALARM, f"completions do not fall where the conditional density says: Pearson p = {p:.1e}")


@check(lambda m: m.supports(HasConditional) and m.supports(HasLogProb) and enumerable(m.event) and m.event.dims > 1)
def completions_follow_the_conditional_probability(s: Subject) -> None:
    values = every_value(s.event)
    observed = torch.arange(s.event.dims).reshape(s.event.shape) % 2 == 0
    same = values[(values == s.x[0]).logical_or(~observed).flatten(1).all(1)]
    probability = s.model.conditional(s.x[0], observed, s.one_context()).log_prob(same).exp()
    expect_close(probability.sum(), torch.tensor(1.0), "the conditional probabilities sum to", 1e-6, 1e-6)
    draws = s.model.complete(s.x[:1], observed, DRAWS, context=_first(s), generator=5)[0]
    counts = torch.stack([(draws == value).flatten(1).all(1).sum() for value in same])
    p = chi_square_p(counts, probability * DRAWS)
    expect(p > ALARM, f"completions do not come as often as the conditional says: Pearson p = {p:.1e}")


def _first(s: Subject) -> Tensor | None:
    return None if s.context is None else s.context[:1]


def _along_the_other(s: Subject, point: Tensor, column: int) -> Mass:
    """The joint density along the other column of a table with two, through a point."""

    def joint(other: Tensor) -> Tensor:
        x = point.expand(len(other), 2).clone()
        x[:, 1 - column] = other[:, 0]
        log_prob: Tensor = s.model.log_prob(x, s.contexts(len(other)))
        return log_prob

    line = Event((1,), s.event.kind, low=s.event.low, high=s.event.high)
    with torch.no_grad():
        return integrate_density(joint, Chart.around(line, s.sample(1000, seed=11)[:, 1 - column, None]), 1e-7)


CHECKS = [
    marginal_of_all_and_of_none,
    marginal_integrates_the_joint,
    marginal_sums_the_joint,
    completions_keep_what_is_observed,
    completions_follow_the_conditional,
    completions_follow_the_conditional_probability,
]
