"""Clauses on densities: one number per row, that depends on the row alone, and a total mass of one.

int exp(log_prob) dx = 1  (a plane),   sum exp(log_prob) = 1  (a list of values)
score = grad log_prob = -grad energy
samples fall into the cells of the plane, or on the values, as often as log_prob says (Pearson, alarm at 1e-4)
E[score(x) . (x - c)] = -D over samples (Stein), where D is too large for a grid: a temperature shows as -D T
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasEnergy, HasLogProb, HasScore
from fairway.testing.check import check, expect, expect_close
from fairway.testing.data import scale_of
from fairway.testing.quadrature import Chart, Mass, enumerable, every_value, integrate_density
from fairway.testing.statistics import ALARM, chi_square_p, mean_p
from fairway.testing.subject import Subject

DRAWS, CELLS = 3000, {1: 24, 2: 8}


def has_log_prob(model: Any) -> bool:
    """log_prob can be asked in data units."""
    return bool(model.supports(HasLogProb))


def on_a_plane(model: Any) -> bool:
    """A continuous event with one or two entries."""
    return not model.event.counted and model.event.dims <= 2


def continuous(model: Any) -> bool:
    """An event on the real line, part of it, or many of them."""
    return not model.event.counted


def mass(s: Subject) -> Mass:
    """The density on a grid around some samples, measured once per subject."""
    if "mass" not in s.memo:
        chart = Chart.around(s.event, s.sample(1000, seed=11))
        with torch.no_grad():
            s.memo["mass"] = integrate_density(lambda x: s.model.log_prob(x, s.contexts(len(x))), chart)
    measured: Mass = s.memo["mass"]
    return measured


@check(has_log_prob, states=("trained",))
def log_prob_takes_any_leading_dims(s: Subject) -> None:
    x, context = s.rows(6)
    flat = s.model.log_prob(x, context)
    expect(flat.shape == (6,), f"6 rows: expected (6,), got {tuple(flat.shape)}")
    expect(flat.isfinite().all(), f"not finite on data: {flat.tolist()}")
    expect(not flat.requires_grad, "carries a gradient nobody asked for")
    expect_close(s.model.log_prob(x, context), flat, "asked again", rtol=0, atol=0)
    folded = None if context is None else context.unflatten(0, (3, 2))
    expect_close(s.model.log_prob(x.unflatten(0, (3, 2)), folded), flat.unflatten(0, (3, 2)), "leading dims (3, 2)")
    expect_close(s.model.log_prob(x[0], s.one_context()), flat[0], "a single observation")
    expect_close(s.model.log_prob(x, context, batch_size=4), flat, "with batch_size=4")
    if context is not None:
        pairs = s.model.log_prob(x[:3].expand(2, 3, *x.shape[1:]), context[:2])
        each = torch.stack([s.model.log_prob(x[:3], c.expand(3, *c.shape)) for c in context[:2]])
        expect_close(pairs, each, "one context for three rows each")


@check(has_log_prob, states=("trained",))
def log_prob_ignores_the_neighbours(s: Subject) -> None:
    x, context = s.rows(12)
    together = s.model.log_prob(x, context)
    order = torch.tensor([5, 0, 0, 9, 9])
    apart = s.model.log_prob(x[order], None if context is None else context[order])
    expect_close(apart, together[order], "a row among other neighbours", rtol=1e-6, atol=1e-6)


@check(lambda model: has_log_prob(model) and continuous(model), states=("redrawn",))
def log_prob_is_differentiable(s: Subject) -> None:
    x, context = s.rows(5, gaps=False)
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(s.model.log_prob(x, context).sum(), x)
    expect(slope.isfinite().all(), "the gradient is not finite")
    step = 1e-4 * scale_of(s.event) * torch.where(torch.arange(x[0].numel()) % 2 == 0, 1.0, -0.7).reshape(x[0].shape)
    step = step * (x.detach() if s.event.kind == "positive" else 1)
    with torch.no_grad():
        ahead, behind = (s.model.log_prob(x + sign * step, context) for sign in (1, -1))
    expect_close((slope * step).flatten(1).sum(1), (ahead - behind) / 2, "slope against differences", 1e-3, 1e-6)


@check(lambda model: has_log_prob(model) and on_a_plane(model))
def density_integrates_to_one(s: Subject) -> None:
    total = mass(s).total
    expect(abs(total - 1) < 1e-2, f"the density integrates to {total:.4f}")


@check(lambda model: has_log_prob(model) and enumerable(model.event))
def probabilities_sum_to_one(s: Subject) -> None:
    total = float(_probabilities(s).sum())
    expect(abs(total - 1) < 1e-6, f"the probabilities of all values sum to {total:.6f}")


@check(lambda model: has_log_prob(model) and on_a_plane(model))
def samples_match_the_density(s: Subject) -> None:
    measured, draws = mass(s), s.sample_of_density(DRAWS, seed=12)
    p = chi_square_p(*measured.counts(draws, CELLS[s.event.dims]))
    expect(p > ALARM, f"samples do not fall where log_prob says: Pearson p = {p:.1e}")
    p = mean_p(s.model.log_prob(draws, s.contexts(DRAWS)), -measured.entropy)
    expect(p > ALARM, f"the mean log_prob of samples is not minus the entropy: p = {p:.1e}")


@check(lambda model: has_log_prob(model) and enumerable(model.event))
def samples_match_the_probabilities(s: Subject) -> None:
    values, probability, draws = every_value(s.event), _probabilities(s), s.sample(DRAWS, seed=12)
    base = (s.event.levels or 1) ** torch.arange(s.event.dims - 1, -1, -1)
    index = ((draws.long() - s.event.offset).reshape(DRAWS, -1) * base).sum(1)
    p = chi_square_p(torch.bincount(index, minlength=len(values)), probability * DRAWS)
    expect(p > ALARM, f"samples do not come as often as log_prob says: Pearson p = {p:.1e}")


@check(
    lambda m: (
        has_log_prob(m) and m.supports(HasScore) and continuous(m) and not on_a_plane(m) and m.event.kind == "real"
    )
)
def samples_obey_stein(s: Subject) -> None:
    draws = s.sample_of_density(1000, seed=12).double()
    centred = draws - draws.mean(0)
    products = (s.model.score(draws, s.contexts(len(draws))) * centred).flatten(1).sum(1)
    p = mean_p(products, -float(s.event.dims))
    expect(p > ALARM, f"E[score . (x - mean)] = {float(products.mean()):.3f}, expected {-s.event.dims}: p = {p:.1e}")


@check(lambda model: model.supports(HasScore) and continuous(model))
def score_is_the_gradient(s: Subject) -> None:
    x, context = s.rows(5, gaps=False)
    score = s.model.score(x, context)
    expect(not score.requires_grad, "the score carries a gradient nobody asked for")
    unit = scale_of(s.event)
    for name, sign in (("log_prob", 1.0), ("energy", -1.0)):
        if s.model.supports({"log_prob": HasLogProb, "energy": HasEnergy}[name]):
            point = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(getattr(s.model, name)(point, context).sum(), point)
            expect_close(score * unit, sign * slope * unit, f"score against the gradient of {name}", 1e-5, 1e-7)


@check(lambda model: model.supports(HasEnergy))
def energy_is_one_number_per_row(s: Subject) -> None:
    x, context = s.rows(6)
    energy = s.model.energy(x, context)
    expect(energy.shape == (6,) and bool(energy.isfinite().all()), f"energy of 6 rows: {energy}")
    expect_close(
        s.model.energy(x[2:3], None if context is None else context[2:3]),
        energy[2:3],
        "energy of a row alone",
        1e-6,
        1e-6,
    )
    if has_log_prob(s.model):
        total = energy + s.model.log_prob(x, context)
        spread = float((total - total[0]).abs().max()) if context is None else 0.0
        expect(spread < 1e-6 * (1 + float(energy.abs().max())), f"energy + log_prob varies by {spread:.2e}")


def _probabilities(s: Subject) -> Tensor:
    values = every_value(s.event)
    with torch.no_grad():
        probability: Tensor = s.model.log_prob(values, s.contexts(len(values))).double().exp()
    return probability


CHECKS = [
    log_prob_takes_any_leading_dims,
    log_prob_ignores_the_neighbours,
    log_prob_is_differentiable,
    density_integrates_to_one,
    probabilities_sum_to_one,
    samples_match_the_density,
    samples_match_the_probabilities,
    samples_obey_stein,
    score_is_the_gradient,
    energy_is_one_number_per_row,
]
