"""Stages: a network inside the model learns first, on data that a map has changed; then the whole model."""

import pytest
import torch
from torch import nn

import fairway as fw
from fairway.core.capability import HasLogProb, HasSample
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.numerics import normal_log_prob
from fairway.core.objective import Stage
from fairway.objectives.mle import MLE
from fairway.training.fit import loop


class TwoParts(HasLogProb, HasSample, Model):
    """N(first + second, 1) per entry, learned in two stages: `first` on doubled data, then both."""

    cites = ("bishop2006prml",)

    def __init__(self, event, context_event=None):
        super().__init__(event, context_event)
        self.first, self.second = nn.Linear(1, 2, bias=False), nn.Linear(1, 2, bias=False)
        self.seen = []

    def mean(self):
        one = torch.ones(1, dtype=self.dtype)
        return self.first(one) + self.second(one)

    def stages(self, objective=None):
        return [
            Stage("first", self.first, MLE(), data=lambda u: 2 * u, steps=30),
            Stage("both", self, MLE(), steps=5),
        ]

    def default_objective(self):
        return MLE()

    def _log_prob(self, u, context=None):
        self.seen.append(u.detach().clone())
        return normal_log_prob(u, self.mean()).sum(1)

    def _sample(self, n, context, rows):
        return self.mean() + rows.normal(2)


@pytest.fixture
def x():
    return torch.randn(64, 2, generator=torch.Generator().manual_seed(0)) + 3


def test_a_stage_moves_its_part_alone(x):
    model, moments = TwoParts(Event((2,))), {}
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for run in loop(model, x, preprocess=False, validation=0, lr=0.05):
        moments[run.plan.stage, run.step] = {name: p.detach().clone() for name, p in model.named_parameters()}
    after_first = moments[0, 30]
    assert torch.equal(after_first["second.weight"], before["second.weight"])
    assert not torch.equal(after_first["first.weight"], before["first.weight"])
    assert not torch.equal(moments[1, 5]["second.weight"], before["second.weight"])


def test_a_stage_sees_its_own_data(x):
    model = TwoParts(Event((2,)))
    for _ in loop(model, x, preprocess=False, validation=0, batch_size=64):
        pass
    first, both = torch.stack(model.seen[:30]), torch.stack(model.seen[30:35])
    assert torch.allclose(first.mean((0, 1)), 2 * x.mean(0), atol=1e-4)
    assert torch.allclose(both.mean((0, 1)), x.mean(0), atol=1e-4)


def test_held_out_rows_are_mapped_too(x):
    model = TwoParts(Event((2,)))
    fw.fit(model, x, preprocess=False, validation=0.5, seed=0, evaluate_every=10, batch_size=64)
    held_out = [u for u in model.seen[:33] if len(u) == 32]
    assert held_out and all(abs(float(u.mean()) - 6) < 1 for u in held_out)
