"""Gradients of one player, in the layout that fused optimisers take for granted (many processes: test_distributed)."""

import pytest
import torch
from torch import nn

from fairway.core.objective import Optimisation, Step
from fairway.core.random import Rows
from fairway.objectives.mle import MLE
from fairway.training.batches import Batches
from fairway.training.engine import Engine, engine_of, put_gradients
from fairway.training.optim import Mover
from fairway.training.plan import Plan


@pytest.fixture
def linear():
    layer = nn.Linear(2, 1, bias=False)
    nn.init.ones_(layer.weight)
    return layer


def move(mover, loss):
    put_gradients(loss, mover.parameters)
    mover.move()


def test_only_the_players_own_parameters_move(linear):
    other = nn.Linear(1, 1)
    before = other.weight.detach().clone()
    move(Mover(linear, Optimisation()), other(linear(torch.ones(2))).sum())
    assert torch.equal(other.weight, before)
    assert other.weight.grad is None
    assert not torch.equal(linear.weight, torch.ones(1, 2))


def test_a_gradient_in_another_memory_layout_moves_the_right_entries():
    """A fused step reads memory in order; the gradient of a transposed use comes transposed."""
    layer = nn.Linear(2, 2, bias=False)
    before = layer.weight.detach().clone()
    signs = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    move(Mover(layer, Optimisation(lr=0.1, clip=None)), (layer.weight.mT * signs.mT.contiguous()).sum())
    torch.testing.assert_close(layer.weight.detach(), before - 0.1 * signs)


def test_one_process_computes_the_step_itself(flow, table):
    step, plan = Step(flow, MLE()), Plan(1, None, 8, 0)
    engine, batch = engine_of(step, plan), Batches(flow, table, 8, 0).next()
    assert type(engine) is Engine and engine.given is flow
    (phase,) = step.objective.phases(flow)
    rows = Rows(0, 8)
    assert torch.equal(engine.loss(batch, phase, rows).total, step(batch, phase, rows).total)
    tensors = {"a": torch.ones(2)}
    assert engine.full(tensors) == tensors == engine.pieces(tensors, {})
