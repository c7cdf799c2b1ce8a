"""Batches, phases, and the step whose forward is the loss."""

import json

import pytest
import torch
from torch import nn

from fairway.core.capability import CapabilityError, HasLogProb, HasSample
from fairway.core.config import from_json, to_json
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.objective import Batch, Loss, Objective, Optimisation, Phase, Stage, Step, merged_terms
from fairway.core.random import Rows
from fairway.objectives.mle import MLE


class Shift(HasLogProb, HasSample, Model):
    """N(m + W context, 1)."""

    accepts_context = ("real",)

    def __init__(self, event, context_event=None):
        super().__init__(event, context_event)
        self.embedding = nn.Linear(1, 2) if context_event else None
        self.mean = nn.Parameter(torch.zeros(2))

    def _context(self, context):
        return self.embedding(context)

    def _log_prob(self, u, context=None):
        centre = self.mean if context is None else self.mean + context
        return -0.5 * (u - centre).square().sum(1)

    def _sample(self, n, context, rows):
        return rows.normal(2)


class OnlySamples(HasSample, Model):
    """Answers nothing else."""

    def _sample(self, n, context, rows):
        return rows.normal(2)


def test_a_weighted_mean():
    u, weight = torch.zeros(3, 2), torch.tensor([1.0, 0.0, 3.0])
    values = torch.tensor([4.0, 100.0, 8.0])
    assert float(Batch(u, weight=weight).mean(values)) == 7.0 and len(Batch(u)) == 3
    assert float(Batch(u).mean(values)) == pytest.approx(112 / 3)


def test_with_context_keeps_the_rest():
    batch = Batch(torch.zeros(3, 2), weight=torch.ones(3), observed=torch.ones(3, 2, dtype=torch.bool))
    other = batch.with_context(torch.ones(3, 1))
    assert other.weight is batch.weight and other.observed is batch.observed and batch.context is None


def test_a_step_embeds_the_context_so_that_its_network_learns():
    model = Shift(Event((2,)), Event((1,)))
    batch = Batch(torch.randn(5, 2), torch.randn(5, 1))
    loss = Step(model, MLE())(batch, Phase(), Rows(0, 5))
    loss.total.backward()
    assert model.embedding.weight.grad.abs().sum() > 0 and model.mean.grad is not None


def test_an_objective_checks_what_it_requires():
    MLE().check(Shift(Event((2,))))
    with pytest.raises(
        CapabilityError, match=r"mle needs a model that answers 'log_prob'; OnlySamples answers: sample"
    ):
        MLE().check(OnlySamples(Event((2,))))


def test_defaults():
    objective, model = MLE(), Shift(Event((2,)))
    assert objective.phases(model) == (Phase(),) and objective.players(model) == {"model": model}
    assert objective.optimisation_of("model") == Optimisation() and objective.monitor == "loss"
    assert Stage("fit", model, objective).steps is None


class Weighted(Objective):
    """An objective with an option, outside every table."""

    def __init__(self, beta: float = 2.0):
        super().__init__()
        self.beta = beta

    def loss(self, batch, model, *, phase, generator):
        return Loss(self.beta * batch.u.mean())


def test_options_are_remembered_and_registered_objectives_survive_json():
    assert Weighted(beta=3.0).arguments == {"beta": 3.0}
    assert isinstance(from_json(json.loads(json.dumps(to_json(MLE())))), MLE)


def test_terms_merge_into_one_tensor():
    merged = merged_terms({"a": torch.tensor(1.0, dtype=torch.float64, requires_grad=True), "b": torch.tensor([2])})
    assert merged.tolist() == [1.0, 2.0] and not merged.requires_grad
