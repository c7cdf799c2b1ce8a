"""The paper's preset, and its property: the critic's gap is the distance, also between laws that do not overlap."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.gan.wgan_gp import WGANGP
from fairway.objectives.critic_losses import wasserstein_critic, wasserstein_generator
from fairway.objectives.critic_penalties import PENALTIES


def move(objective, model, phase, batch, optimiser, seed):
    loss = objective.loss(batch, model, phase=phase, generator=Rows(seed, len(batch)))
    optimiser.zero_grad()
    loss.total.backward()
    optimiser.step()
    return loss


@pytest.fixture
def players():
    with seeded(0):
        model = WGANGP(Event((2,)), latent=2, hidden=())
        objective = model.default_objective()
        objective.critic_hidden = (32,)
        objective.setup(model)
    with torch.no_grad():  # u = z
        model.network.last.weight.copy_(torch.eye(2))
        model.network.last.bias.zero_()
    return model, objective


def optimiser(module, lr=1e-2):
    return torch.optim.Adam(module.parameters(), lr=lr, betas=(0.0, 0.9))


def test_preset_of_the_paper():
    objective = WGANGP(Event((2,))).default_objective()
    critic, model = objective.phases(None)
    assert (objective.weight, critic.player, critic.times, model.player, model.times) == (10, "critic", 5, "model", 1)
    assert objective.divergence.critic is wasserstein_critic and objective.divergence.generator is wasserstein_generator
    assert objective.penalty is PENALTIES["gradient"]
    assert objective.optimisation_of("critic").betas == (0.0, 0.9)


def test_the_gap_of_a_trained_critic_is_the_distance_of_a_shift(players):
    """N(0, I) and its shift by (6, 8): W_1 = 10, where densities do not overlap and a classifier would saturate.

    A linear critic of norm c has gap 10 c and penalty 10 (c - 1)^2, so that c = 1.5 and the gap is 15.
    """
    model, objective = players
    critic, shift = optimiser(objective.critic), torch.tensor([6.0, 8.0])
    said = []
    for step in range(300):
        batch = Batch(Rows(1000 + step, 128).normal(2) + shift)
        said.append(move(objective, model, Phase("critic"), batch, critic, step).terms)
    gap, penalty = (sum(terms[name].item() for terms in said[-100:]) / 100 for name in ("gap", "penalty"))
    assert gap == pytest.approx(15, abs=1) and penalty == pytest.approx(0.25, abs=0.1)


def test_the_generator_follows_the_shift(players):
    model, objective = players
    critic, generator = optimiser(objective.critic), optimiser(model, lr=1e-2)
    shift, seed = torch.tensor([1.0, -2.0]), 0
    for _ in range(200):
        for phase, moving in [(Phase("critic"), critic)] * 2 + [(Phase("model"), generator)]:
            seed += 1
            move(objective, model, phase, Batch(Rows(5000 + seed, 64).normal(2) + shift), moving, seed)
    torch.testing.assert_close(model._sample(2000, None, Rows(0, 2000)).mean(0), shift, atol=0.4, rtol=0)
