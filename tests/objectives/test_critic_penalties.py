"""Penalties of critics whose slope is known."""

import pytest
import torch

from fairway.core.objective import Batch
from fairway.core.random import Rows, seeded
from fairway.networks.critic import MLPCritic
from fairway.objectives.adversarial import Adversarial, Shown
from fairway.objectives.critic_penalties import PENALTIES, flat, free, gradient_penalty, logits_and_slopes, slopes


def linear(*w):
    return lambda u, context=None: u.flatten(1) @ torch.tensor(w)


@pytest.mark.parametrize("n", [1, 7, 64])
def test_a_linear_critic_pays_for_its_norm_at_any_batch_size(n):
    real, fake = Rows(0, n).normal(3), Rows(1, n).normal(3)
    penalty = gradient_penalty(linear(2.0, 1.0, 2.0), real, fake, None, Rows(2, n).uniform())
    assert penalty.shape == (n,)
    torch.testing.assert_close(penalty, torch.full((n,), 4.0))  # (|w| - 1)^2 = (3 - 1)^2
    assert gradient_penalty(linear(0.6, 0.8, 0.0), real, fake, None, Rows(2, n).uniform()).abs().max() < 1e-10


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


def test_logits_and_slopes_come_from_one_pass():
    passes, u = [], Rows(0, 5).normal(2)

    def cubic(point, context):
        passes.append(len(point))
        return point.pow(3).sum(1)

    logits, slope = logits_and_slopes(cubic, u, None)
    assert passes == [5]
    torch.testing.assert_close(logits, u.pow(3).sum(1))
    torch.testing.assert_close(slope, 3 * u.square())
    torch.testing.assert_close(slopes(cubic, u, None), slope)


def test_zero_centred_costs():
    slope = torch.tensor([[[3.0, 4.0]], [[0.0, 0.0]]])
    assert flat(slope).tolist() == [12.5, 0.0] and free(slope).tolist() == [0.0, 0.0]
    assert {name: penalty.at for name, penalty in PENALTIES.items()} == {
        "none": "none", "gradient": "between", "r1": "real", "r2": "fake", "r1_r2": "both", "clip": "weights",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["gradient", "r1_r2"])
def test_a_critic_that_knows_a_shorter_way_pays_the_same(monkeypatch, name):
    with seeded(0):
        objective = Adversarial("relativistic", name, weight=3.0, critic=MLPCritic(2, (8, 8)))
    real, fake = (Shown(Rows(i, 6).normal(2), None) for i in (0, 1))
    found = []
    for written_out in (True, False):
        if not written_out:
            monkeypatch.setattr(MLPCritic, "value_and_slope", lambda *_: None)
        loss = objective.critic_loss(Batch(real.u), real, fake, Rows(2, 6).uniform())
        slopes = torch.autograd.grad(loss.total, list(objective.critic.parameters()), allow_unused=True)
        found.append((loss.total, loss.terms["penalty"], *slopes[:-1]))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)
