"""The buffer keeps its chains, the gradient is the likelihood's, and contexts stay with their chains."""

import pytest
import torch
from torch import nn

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.energy.energy import EBM
from fairway.objectives.persistent import PersistentContrastiveDivergence
from fairway.samplers.langevin import Langevin


def ready(model, **options):
    objective = PersistentContrastiveDivergence(**options)
    objective.setup(model)
    return objective


def step(objective, model, u, seed, context=None):
    return objective.loss(Batch(u, context), model, phase=Phase(), generator=Rows(seed, len(u)))


def test_a_sampler_that_does_not_move_leaves_every_chain_where_it_was(still):
    with seeded(0):
        model = EBM(Event((2,)), hidden=(8,))
    objective = ready(model, chains=50, reborn=0.0, jumps=0, kernel=still)
    objective.chains.copy_(Rows(0, 50).normal(2))
    objective.born.fill_(True)
    before = objective.chains.clone()
    for seed in range(30):
        step(objective, model, torch.zeros(16, 2), seed)
    torch.testing.assert_close(objective.chains, before)


def test_chains_are_born_once_and_a_share_of_them_again(still):
    with seeded(0):
        model = EBM(Event((2,)), hidden=(8,))
    objective = ready(model, chains=1000, reborn=0.1, jumps=0, kernel=still)
    step(objective, model, torch.zeros(1000, 2), 0)
    assert bool(objective.born.all())
    assert float(objective.chains.std()) == pytest.approx(1.0, abs=0.1)
    before = objective.chains.clone()
    step(objective, model, torch.zeros(1000, 2), 1)
    renewed = (objective.chains != before).any(1).float().mean()
    assert float(renewed) == pytest.approx(0.1, abs=0.04)


def test_the_gradient_at_the_truth_is_zero_and_points_there(still, tilted):
    """Data N(m, 1) under f = slope u with chains at equilibrium: dC/d slope = slope - m."""
    for slope, mean in ((0.5, 0.5), (0.5, 0.8)):
        model = tilted()
        objective = ready(model, chains=20_000, reborn=0.0, penalty=0.0, jumps=0, kernel=still)
        objective.chains.copy_(Rows(0, 20_000).normal(1) + slope)
        objective.born.fill_(True)
        loss = step(objective, model, Rows(1, 20_000).normal(1) + mean, 2).total
        (gradient,) = torch.autograd.grad(loss, model.network.weight)
        assert float(gradient) == pytest.approx(slope - mean, abs=0.04)


def test_chains_move_towards_the_model_and_carry_no_graph(tilted):
    model = tilted()
    model.network.weight.data.fill_(3.0)
    objective = ready(model, chains=256, steps=20, reborn=0.0, kernel=Langevin(0.2))
    for seed in range(8):
        loss = step(objective, model, torch.zeros(256, 1), seed)
    assert not objective.chains.requires_grad
    assert float(objective.chains.mean()) == pytest.approx(3.0, abs=0.3)
    assert all(bool(torch.isfinite(term)) for term in loss.terms.values())
    assert model.network.weight.requires_grad


def test_the_step_size_follows_the_acceptance():
    model = EBM(Event((8,)), network=nn.Linear(8, 1))
    objective = ready(model, chains=64, kernel=Langevin(1e-3, metropolis=True))
    for seed in range(100):
        loss = step(objective, model, Rows(seed, 64).normal(8), seed)
    assert float(objective.step_size) > 0.01
    assert 0.4 < float(loss.terms["acceptance"]) < 1.0


def test_contexts_stay_with_their_chains(still):
    with seeded(0):
        model = EBM(Event((1,)), Event((), "category", levels=2), hidden=(8,))
    objective = ready(model, chains=40, reborn=0.0, jumps=0, kernel=still)
    labels = torch.eye(2)[[0, 1] * 20]
    step(objective, model, torch.zeros(40, 1), 0, labels)
    before = objective.contexts.clone()
    assert before.sum(0).tolist() == [20, 20]
    step(objective, model, torch.zeros(40, 1), 1, labels.flip(1))
    torch.testing.assert_close(objective.contexts, before)


def test_the_model_is_handed_the_chains():
    with seeded(0):
        model = EBM(Event((2,)), hidden=(8,))
    objective = ready(model, chains=30)
    for seed in (0, 1):
        step(objective, model, torch.zeros(16, 2), seed)
        torch.testing.assert_close(model.chains, objective.chains)
        assert model.step_size == objective.step_size and model.chains is not objective.chains


@pytest.mark.parametrize("options", [{"chains": 0}, {"steps": 0}, {"reborn": 1.5}, {"jumps": -1}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match=r"expected|steps"):
        PersistentContrastiveDivergence(**options)
