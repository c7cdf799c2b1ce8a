"""Chains of k moves from the data: what they see of the likelihood's gradient, and what they leave behind."""

import pytest
import torch
from torch import nn

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.energy.energy import EBM
from fairway.objectives.contrastive_divergence import ContrastiveDivergence
from fairway.samplers.langevin import Langevin
from fairway.training.fit import fit

N = 20_000


def step(model, u, seed=0, context=None, **options):
    objective = ContrastiveDivergence(penalty=0.0, **options)
    objective.setup(model)
    return objective.loss(Batch(u, context), model, phase=Phase(), generator=Rows(seed, len(u)))


def test_chains_start_at_the_data(still):
    """Chains that do not move are the data, so nothing is learned of them; by jumps they leave."""
    with seeded(0):
        model = EBM(Event((2,)), hidden=(8,))
    u = Rows(0, 200).normal(2) + 3
    found = step(model, u, kernel=still)
    assert float(found.terms["energy_gap"].detach()) == 0
    assert all(float(g.abs().max()) < 1e-6 for g in torch.autograd.grad(found.total, list(model.parameters())))
    assert abs(float(step(model, u, kernel=still, jumps=1).terms["energy_gap"].detach())) > 0.5


@pytest.mark.parametrize("k", [1, 4, 60])
def test_the_gradient_sees_the_share_of_the_way_that_k_moves_go(k, tilted):
    """Langevin moves of size h shrink the distance to N(slope, 1) by 1 - h / 2 each: a gradient of the right sign, of
    size (m - slope) (1 - (1 - h / 2)^k), which is the likelihood's as k grows."""
    model, h, mean = tilted(), 0.2, 0.9
    u = Rows(1, N).normal(1) + mean
    total = step(model, u, steps=k, kernel=Langevin(h)).total
    (gradient,) = torch.autograd.grad(total, model.network.weight)
    assert float(gradient) == pytest.approx((0.5 - mean) * (1 - (1 - h / 2) ** k), abs=5 * 2**0.5 / N**0.5)


def test_a_chain_keeps_the_context_of_its_row():
    """f(u, c) = slope u (c_1 - c_0): from 0, the chains of one label go up and those of the other down."""

    class Sided(nn.Module):
        def forward(self, both):
            return 3.0 * both[:, :1] * (both[:, 2:3] - both[:, 1:2])

    seen = []

    class Watched(ContrastiveDivergence):
        def _moved(self, *args):
            seen.append(super()._moved(*args))
            return seen[-1]

    model = EBM(Event((1,)), Event((), "category", levels=2), network=Sided())
    objective = Watched(steps=60, kernel=Langevin(0.2))
    objective.setup(model)
    labels = torch.eye(2)[[0, 1] * 200]
    objective.loss(Batch(torch.zeros(400, 1), labels), model, phase=Phase(), generator=Rows(0, 400))
    ends = seen[0].state.u
    assert float(ends[0::2].mean()) == pytest.approx(-3, abs=0.3)
    assert float(ends[1::2].mean()) == pytest.approx(3, abs=0.3)


def test_it_remembers_no_chain_and_hands_the_step_size_over():
    with seeded(0):
        model = EBM(Event((2,)), hidden=(8,))
    objective = ContrastiveDivergence(kernel=Langevin(1e-4, metropolis=True))
    objective.setup(model)
    for seed in range(40):
        objective.loss(Batch(Rows(seed, 64).normal(2)), model, phase=Phase(), generator=Rows(seed, 64))
    assert model.chains.shape == (0, 2) and set(dict(objective.named_buffers())) == {"step_size"}
    assert float(model.step_size) == float(objective.step_size) > 2e-4


def test_it_learns_where_chains_mix():
    """One Gaussian next to the reference: moments of draws, in data units."""
    x = Rows(3, 1000).normal(2) * torch.tensor([2.0, 0.5]) + torch.tensor([5.0, -1.0])
    x[:, 1] += 0.2 * x[:, 0]
    model = fit("ebm", x, objective="contrastive_divergence", hidden=(32,), steps=300, lr=3e-3, seed=0, chain_steps=40)
    draws = model.sample(1000, generator=0)
    torch.testing.assert_close(draws.mean(0) / x.std(0), x.mean(0) / x.std(0), atol=0.2, rtol=0)
    torch.testing.assert_close(torch.corrcoef(draws.T)[0, 1], torch.corrcoef(x.T)[0, 1], atol=0.15, rtol=0)
