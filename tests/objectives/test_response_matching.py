"""The gradient of the multipliers is the difference of two means; chains are born once."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows
from fairway.models.energy.energy import EBM
from fairway.models.energy.frame import FRAME
from fairway.objectives.response_matching import ResponseMatching
from fairway.samplers.langevin import Langevin


@pytest.fixture
def model():
    return FRAME(Event((2,)))


def step(objective, model, batch, seed=0):
    return objective.loss(batch, model, phase=Phase(), generator=Rows(seed, len(batch)))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_is_minus_the_difference_of_mean_responses(model, weighted):
    """Up to a positive factor, the slope of the arctan."""
    objective = ResponseMatching(chains=32)
    objective.setup(model)
    u = Rows(1, 32).normal(2) + 1
    weight = (torch.arange(32) < 8).float() if weighted else None
    found = step(objective, model, Batch(u, weight=weight))
    (gradient,) = torch.autograd.grad(found.total, [model.network.multipliers])
    real = model._responses(u[:8] if weighted else u).mean(0)
    difference = real - model._responses(objective.chains).mean(0)
    slope = 1 / (1 + found.terms["energy_gap"].detach().square())
    torch.testing.assert_close(gradient, -slope * difference, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.terms["response_gap"], difference.abs().max())


def test_levels_are_measured_on_the_first_rows(model):
    before = model.network.statistics.edges.clone()
    ResponseMatching().start(model, Rows(1, 500).normal(2) * 2)
    torch.testing.assert_close(model.network.statistics.edges[0], 2 * before[0], atol=0.3, rtol=0)


def test_chains_are_born_once(model):
    objective = ResponseMatching(chains=16, steps=1, jumps=0, kernel=Langevin(1e-4, metropolis=True))
    objective.setup(model)
    batch = Batch(torch.zeros(16, 2))
    step(objective, model, batch)
    assert bool(objective.born.all())
    for seed in range(1, 6):
        before = objective.chains.clone()
        step(objective, model, batch, seed)
        assert float((objective.chains - before).norm(dim=1).max()) < 0.2


def test_models_without_statistics_are_refused():
    with pytest.raises(TypeError, match="fixed statistics"):
        ResponseMatching().check(EBM(Event((2,))))
