"""Losses against closed forms, who moves whom, and that a plain adversary finds a shift."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.gan.generator import Generator
from fairway.objectives.adversarial import DIVERGENCES, Adversarial, MLPCritic, frozen, gradient_penalty

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


@pytest.mark.parametrize("n", [1, 7, 64])
def test_a_linear_critic_pays_for_its_norm_at_any_batch_size(n):
    real, fake = Rows(0, n).normal(3), Rows(1, n).normal(3)
    penalty = gradient_penalty(Linear(2.0, 1.0, 2.0), real, fake, None, Rows(2, n).uniform())
    assert penalty.shape == (n,)
    torch.testing.assert_close(penalty, torch.full((n,), 4.0))  # (|w| - 1)^2 = (3 - 1)^2


def test_the_penalty_is_taken_on_the_segment_and_moves_the_critic_alone():
    real, fake = torch.zeros(4, 1), torch.ones(4, 1, requires_grad=True)
    critic = torch.nn.Parameter(torch.tensor(3.0))

    def square(u, context):
        return critic * u.squeeze(1).square()  # slope 2 c u

    uniforms = torch.tensor([0.0, 0.25, 0.5, 1.0])
    penalty = gradient_penalty(square, real, fake, None, uniforms)
    torch.testing.assert_close(penalty, (6 * (1 - uniforms) - 1).square())
    penalty.sum().backward()
    assert critic.grad is not None and fake.grad is None


def test_the_non_saturating_loss_is_the_jensen_shannon_divergence_at_the_best_critic():
    p, q = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.1, 0.3, 0.6])
    logit = (p / q).log()  # the optimal critic
    both = DIVERGENCES["non_saturating"].critic
    zero = torch.zeros(3)
    value = (p * both(logit, zero) + q * both(zero, logit)).sum() - 2 * torch.tensor(2.0).log()
    m = (p + q) / 2
    divergence = 0.5 * (p * (p / m).log() + q * (q / m).log()).sum()
    torch.testing.assert_close(2 * torch.tensor(2.0).log() - value, 2 * divergence)


def test_wasserstein_with_the_best_critic_is_the_distance():
    real, fake = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [4.0]])
    critic = Linear(-1.0)  # the optimal 1-Lipschitz critic of a shift
    value = DIVERGENCES["wasserstein"].critic(critic(real), critic(fake)).mean()
    assert -value.item() == 3.0


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
    with pytest.raises(ValueError, match="expected divergence among wasserstein, non_saturating; got 'js'"):
        Adversarial("js")
    with pytest.raises(ValueError, match=r"call setup\(model\) first"):
        Adversarial().players(model)
