"""What a network is told: time, context, and nothing where the context is missing."""

import pytest
import torch

from fairway.core.random import Rows, seeded
from fairway.networks.conditions import Conditions


def build(**options):
    with seeded(0):
        conditions = Conditions(8, 3, **options)
        if conditions.nothing is not None:
            torch.nn.init.normal_(conditions.nothing)
    return conditions


def test_time_and_context_add_up():
    conditions, t, context = build(), torch.rand(5), Rows(0, 5).normal(3)
    told = conditions(t, context)
    assert told.shape == (5, 8)
    torch.testing.assert_close(told - conditions(t), conditions.context(context))
    assert conditions.nothing is None


def test_an_image_like_context_is_flattened():
    with seeded(0):
        conditions = Conditions(8, 6)
    assert conditions(torch.rand(5), torch.zeros(5, 2, 3)).shape == (5, 8)


def test_in_training_a_share_of_the_rows_is_told_nothing():
    conditions, t, context = build(context_dropout=0.3), torch.zeros(2000), torch.ones(2000, 3)
    with seeded(0):
        told = conditions(t, context)
    nothing, own = conditions.eval()(t[:1]), conditions(t[:1], context[:1])
    dropped, kept = (told - nothing).abs().amax(1) < 1e-6, (told - own).abs().amax(1) < 1e-6
    assert bool((dropped ^ kept).all())
    assert 0.25 < float(dropped.float().mean()) < 0.35
    torch.testing.assert_close(conditions(t, context), own.expand(2000, 8))


def test_nothing_is_learned_from_dropped_rows():
    conditions = build(context_dropout=0.5)
    with seeded(0):
        conditions(torch.zeros(20), torch.ones(20, 3)).sum().backward()
    dropped = conditions.nothing.grad[0]
    assert 0 < dropped < 20 and conditions.context.weight.grad[0, 0] == 20 - dropped


@pytest.mark.parametrize("wrong", [-0.1, 1.0])
def test_a_share_is_below_one(wrong):
    with pytest.raises(ValueError, match="context_dropout"):
        Conditions(8, 3, wrong)
