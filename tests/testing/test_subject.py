"""Subjects: float64, both states, cached, and the same every time."""

import torch

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.models.flow.real_nvp import RealNVP
from fairway.testing.subject import _CACHED, ROWS, build, redrawn, subject, subjects, tiny_rows

CASE = Case(Event((2,)), Event((), "category", levels=3), {"transforms": 2, "hidden": (4,)})


def test_parameters_are_redrawn_with_spread():
    model = redrawn(RealNVP, CASE).model
    values = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert model.dtype == torch.float64 and not model.training and abs(float(values.std()) - 0.3) < 0.05
    assert all(bool(p.any()) for p in model.parameters())
    assert float(model.preprocess.mean[0]) > 900  # its units are fitted


def test_subjects_are_shared_and_repeat():
    one, two = subjects(RealNVP, CASE)
    assert (one.state, two.state) == ("redrawn", "trained") and subject("trained", RealNVP, CASE) is two
    assert two.model.dtype == torch.float64 and not two.model.training
    fresh = redrawn(RealNVP, CASE)
    assert fresh is not one and torch.equal(fresh.sample(5), one.sample(5))
    assert one.x.shape == (ROWS, 2) and one.context.shape == (ROWS,) and one.contexts(4).shape == (4,)


def test_the_cache_is_bounded():
    first = subject("redrawn", RealNVP, CASE)
    for width in range(2, 3 + _CACHED):
        subject("redrawn", RealNVP, Case(CASE.event, CASE.context_event, {"transforms": 1, "hidden": (width,)}))
    assert subject("redrawn", RealNVP, CASE) is not first


def test_building_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    build(RealNVP, CASE)
    redrawn(RealNVP, CASE)
    assert torch.equal(torch.get_rng_state(), before)


def test_rows_with_and_without_gaps():
    x, context = tiny_rows(Case(Event((2,), missing=True)), 50)
    assert x.isnan().any() and context is None
