"""Maximum likelihood: the loss is nats per entry, weighted, and its minimiser is the data's own moments."""

import math

import pytest
import torch
from torch import nn

from fairway.core.capability import HasLogProb, HasSample
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.numerics import event_sum, normal_log_prob
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows
from fairway.objectives.mle import MLE


class Diagonal(HasLogProb, HasSample, Model):
    """N(m, diag s^2)."""

    def __init__(self, event, context_event=None):
        super().__init__(event, context_event)
        self.mean, self.log_std = nn.Parameter(torch.zeros(event.shape)), nn.Parameter(torch.zeros(event.shape))

    def _log_prob(self, u, context=None):
        return event_sum(normal_log_prob(u, self.mean, self.log_std))

    def _sample(self, n, context, rows):
        return self.mean + self.log_std.exp() * rows.normal(*self.event.shape)


def _loss(model, batch):
    return MLE().loss(batch, model, phase=Phase(), generator=Rows(0, len(batch)))


@pytest.mark.parametrize("shape", [(2,), (3, 4, 4)])
def test_the_loss_is_nats_per_entry(shape):
    model = Diagonal(Event(shape))
    loss = _loss(model, Batch(torch.zeros(7, *shape)))
    assert loss.total.item() == pytest.approx(math.log(2 * math.pi) / 2)
    assert loss.terms["nll"].item() == loss.total.item()


def test_weights_count():
    model, u = Diagonal(Event((2,))), torch.tensor([[0.0, 0.0], [3.0, 3.0]])
    weighted = _loss(model, Batch(u, weight=torch.tensor([1.0, 3.0])))
    repeated = _loss(model, Batch(u[[0, 1, 1, 1]]))
    assert weighted.total.item() == pytest.approx(repeated.total.item())


def test_its_gradient_vanishes_at_the_moments_of_the_data():
    u = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 0.1]) + 5
    model = Diagonal(Event((2,)))
    with torch.no_grad():
        model.mean.copy_(u.mean(0))
        model.log_std.copy_(u.std(0, correction=0).log())
    _loss(model, Batch(u)).total.backward()
    assert model.mean.grad.abs().max() < 1e-4 and model.log_std.grad.abs().max() < 1e-4


def test_a_model_that_starts_from_data_sees_rows_first():
    model, seen = Diagonal(Event((2,))), []
    MLE().start(model, torch.ones(5, 2))
    model._start = seen.append
    MLE().start(model, torch.ones(5, 2))
    assert [rows.shape for rows in seen] == [(5, 2)]
