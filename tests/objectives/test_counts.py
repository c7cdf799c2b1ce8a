"""Counting: one pass, then done."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch
from fairway.core.random import Rows
from fairway.models.classical.histogram import Independent
from fairway.models.classical.mixture import GMM
from fairway.objectives.counts import Counts


@pytest.fixture
def model():
    return Independent(Event((2,), "category", levels=3)).double()


def test_one_step_and_done(model):
    u, solver = torch.tensor([[0, 1], [0, 2], [1, 2], [0, 2]]), Counts(smoothing=1.0)
    solver.start(model, Batch(u), Rows(0, 4))
    assert not solver.done()
    loss = solver.step(model, Batch(u))["loss"]
    assert solver.done()
    torch.testing.assert_close(model.logits.softmax(1), torch.tensor([[4, 2, 1], [1, 2, 4]]).double() / 7)
    assert loss == pytest.approx(-float(model._log_prob(u).detach().mean()) / 2)
    solver.start(model, Batch(u), Rows(0, 4))
    assert not solver.done(), "a second fit counts again"


def test_without_smoothing_the_unseen_is_impossible(model):
    Counts(smoothing=0.0).step(model, Batch(torch.tensor([[0, 1], [0, 1]])))
    assert float(model._log_prob(torch.tensor([[0, 1]])).detach()) == 0.0
    assert float(model._log_prob(torch.tensor([[1, 1]])).detach().exp()) == 0.0


def test_refusals(model):
    with pytest.raises(ValueError, match="expected smoothing as a number of rows >= 0, got -1"):
        Counts(smoothing=-1)
    with pytest.raises(TypeError, match="counts learns tables of probabilities"):
        Counts().start(GMM(Event((2,))), Batch(torch.zeros(3, 2)), Rows(0, 3))
