"""Losses against closed forms, who moves whom, and that a plain adversary finds a shift."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.gan.generator import Generator
from fairway.networks.critic import MLPCritic
from fairway.objectives.adversarial import Adversarial, Shown
from fairway.objectives.critic_losses import DIVERGENCES
from fairway.samplers.mcmc import frozen

CRITIC, MODEL = Phase("critic"), Phase("model")


class Linear(torch.nn.Module):
    """d(u) = w . u, the critic whose gradient is known."""

    def __init__(self, *w):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(w))

    def forward(self, u, context=None):
        return u.flatten(1) @ self.w


@pytest.fixture
def model():
    with seeded(0):
        return Generator(Event((2,)), Event((), "category", levels=3), latent=2, hidden=(8,))


def batch(n=16):
    return Batch(Rows(1, n).normal(2), torch.eye(3)[Rows(2, n).integers(3)])


def ready(model, **options):
    objective = Adversarial(**{"critic_hidden": (8,), **options})
    with seeded(1):
        objective.setup(model)
    return objective


@pytest.mark.parametrize("divergence", list(DIVERGENCES))
def test_each_player_moves_alone(model, divergence):
    objective = ready(model, divergence=divergence)
    objective.loss(batch(), model, phase=CRITIC, generator=Rows(0, 16)).total.backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in objective.critic.network.layers[0].parameters())
    objective.critic.zero_grad()
    objective.loss(batch(), model, phase=MODEL, generator=Rows(0, 16)).total.backward()
    assert all(p.grad is None for p in objective.critic.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert all(p.requires_grad for p in objective.critic.parameters())


def test_fakes_carry_the_context_of_the_batch(model):
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, u, context=None):
            seen.append(context)
            return u.sum(1)

    rows = batch()
    Adversarial(critic=Spy(), penalty="none").loss(rows, model, phase=CRITIC, generator=Rows(0, 16))
    torch.testing.assert_close(seen[0], torch.cat([rows.context, rows.context]))


def test_rows_count_by_their_weight(model):
    objective = Adversarial(critic=Linear(1.0, 0.0), penalty="none")
    rows = batch(2)
    weighted = Batch(rows.u, rows.context, weight=torch.tensor([3.0, 1.0]))
    got = objective.loss(weighted, model, phase=CRITIC, generator=Rows(0, 2)).terms["critic"]
    fake = model._decode(Rows(0, 2).normal(2), rows.context)
    per_row = fake[:, 0] - rows.u[:, 0]
    torch.testing.assert_close(got, (3 * per_row[0] + per_row[1]) / 4)


def test_frozen_gives_back_what_it_took():
    critic = MLPCritic(2, (4,))
    critic.network.last.bias.requires_grad_(False)
    with frozen(critic):
        assert not any(p.requires_grad for p in critic.parameters())
    assert [p.requires_grad for p in critic.parameters()] == [True, True, True, False]


def test_phases_and_players(model):
    objective = ready(model, critic_steps=3)
    assert [(p.player, p.times) for p in objective.phases(model)] == [("critic", 3), ("model", 1)]
    assert objective.players(model) == {"model": model, "critic": objective.critic}
    assert set(objective.state_dict()) == {f"critic.{k}" for k in objective.critic.state_dict()}


def test_errors_say_what_to_do(model):
    with pytest.raises(ValueError, match="expected divergence among wasserstein, non_saturating, .*; got 'js'"):
        Adversarial("js")
    with pytest.raises(ValueError, match=r"call setup\(model\) first"):
        Adversarial().players(model)
