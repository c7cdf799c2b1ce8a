"""What the lecture says of adversaries, as numbers: best critics, slopes that vanish, lines that do not overlap."""

import math

import pytest
import torch
import torch.nn.functional as F

from fairway.core.objective import Batch
from fairway.core.random import Rows, seeded
from fairway.metrics.divergence import f_divergence
from fairway.metrics.divergence.table import draw_line, parallel_lines
from fairway.networks.critic import MLPCritic
from fairway.objectives.adversarial import Adversarial, Shown
from fairway.objectives.critic_losses import DIVERGENCES

GAME = DIVERGENCES["non_saturating"]


def gaussian(x, mean, std=1.0):
    """Density of N(mean, std^2)."""
    return torch.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))


def learned(objective, real, fake, steps, lr=1e-2):
    """The critic's last loss after so many moves on fresh rows; `real` and `fake` give rows for a seed."""
    moves = torch.optim.Adam(objective.critic.parameters(), lr=lr, betas=(0.5, 0.9))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(moves, steps)
    for step in range(steps):
        sides = Shown(real(2 * step), None), Shown(fake(2 * step + 1), None)
        loss = objective.critic_loss(Batch(sides[0].u), *sides, Rows(step, len(sides[0].u)).spawn(1).uniform())
        moves.zero_grad()
        loss.total.backward()
        moves.step()
        schedule.step()
    return loss


# -- the best critic ------------------------------------------------------------------------------------------------
def best_on_a_grid(p, q):
    """Free logits (K,), one for each cell, that minimise the critic's loss under laws (K,), and the loss."""
    logits = torch.zeros_like(p, requires_grad=True)
    moves = torch.optim.LBFGS([logits], lr=1.0, max_iter=500, tolerance_grad=1e-14, tolerance_change=0, history_size=20)
    scale = 1 / (p + q)  # cells of little mass want large steps

    def value():  # over all pairs of cells, as the loss is of pairs of rows
        pairs = GAME.critic(logits.unsqueeze(1), logits.unsqueeze(0))
        return (p.unsqueeze(1) * q.unsqueeze(0) * pairs).sum()

    def closure():
        moves.zero_grad()
        loss = value()
        loss.backward()
        logits.grad.mul_(scale)
        return loss

    moves.step(closure)
    return logits.detach(), value().detach()


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.0, 1.0), (0.5, 1.5)])
def test_the_best_critic_is_the_log_ratio_and_its_value_a_divergence(mean, std):
    """D* = p / (p + q), that is, the logit log p / q; V(D*) = 2 JS(p, q) - log 4, which is -log 4 where p = q."""
    x = torch.linspace(-6, 6, 241, dtype=torch.float64)  # trapezoids, exact to many digits for what dies off
    p, q = (gaussian(x, *law) for law in ((0.0, 1.0), (mean, std)))
    p, q = p / p.sum(), q / q.sum()
    logits, loss = best_on_a_grid(p, q)
    common = p + q > 1e-4 * (p + q).max()
    torch.testing.assert_close(torch.sigmoid(logits)[common], (p / (p + q))[common], atol=1e-5, rtol=0)
    middle = (p + q) / 2
    quadrature = 0.5 * ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum())
    assert f_divergence(p, q, "jensen_shannon").value == pytest.approx(quadrature.item(), abs=1e-12)
    assert -loss.item() == pytest.approx(2 * quadrature.item() - math.log(4), abs=1e-7)
    if (mean, std) == (0.0, 1.0):
        assert -loss.item() == pytest.approx(-math.log(4), abs=1e-9)


def test_a_network_learns_that_ratio_from_rows():
    """N(0, 1) against a generator fixed at N(2, 1): log p / q = 2 - 2 u."""
    with seeded(0):
        objective = Adversarial("non_saturating", "none", critic=MLPCritic(1, (16,)))
    loss = learned(objective, lambda s: Rows(s, 256).normal(1), lambda s: 2 + Rows(s, 256).normal(1), steps=400)
    u = torch.linspace(-1, 3, 21).unsqueeze(1)
    assert (objective.critic(u).detach() - (2 - 2 * u[:, 0])).abs().max() < 0.5
    x = torch.linspace(-8, 10, 2000, dtype=torch.float64)
    p, q = gaussian(x, 0.0), gaussian(x, 2.0)
    best = ((p * F.softplus(2 * x - 2) + q * F.softplus(2 - 2 * x)).sum() * (x[1] - x[0])).item()
    assert loss.terms["critic"].item() == pytest.approx(best, abs=0.1)


# -- slopes ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "slope"), [("minimax", 0.0), ("non_saturating", -1.0)])
def test_slopes_where_the_critic_is_sure_of_a_fake(name, slope):
    """d log(1 - sigma(a)) / da = -sigma(a) -> 0 as a -> -inf; d(-log sigma(a)) / da = -(1 - sigma(a)) -> -1."""
    a = torch.tensor([-40.0, -5.0, 0.0, 3.0], dtype=torch.float64, requires_grad=True)
    cost = DIVERGENCES[name].generator(a, torch.zeros_like(a))
    by_hand = torch.log(1 - torch.sigmoid(a)) if name == "minimax" else -torch.log(torch.sigmoid(a))
    torch.testing.assert_close(cost, by_hand)
    (found,) = torch.autograd.grad(cost.sum(), a)
    sigma = torch.sigmoid(a.detach())
    torch.testing.assert_close(found, -sigma if name == "minimax" else -(1 - sigma))
    assert found[0].item() == pytest.approx(slope, abs=1e-15)


# -- parallel lines -------------------------------------------------------------------------------------------------
PENALTY = 10.0


@pytest.mark.parametrize("theta", [0.25, 0.5, 1.0])
def test_between_parallel_lines_the_wasserstein_critic_reads_how_far(theta):
    """(0, U) and (theta, V): whatever theta, total variation is 1 and KL infinite; the gap of a WGAN-GP critic is
    W (1 + W / (2 lambda)) with W = theta, since its slope may grow to 1 + W / (2 lambda) where that pays."""
    exact = {name: estimate.value for name, estimate in parallel_lines(theta).items()}
    assert (exact["total_variation"], exact["kl"], exact["wasserstein"]) == (1.0, math.inf, theta)
    assert exact["jensen_shannon"] == pytest.approx(math.log(2))
    with seeded(0):
        objective = Adversarial("wasserstein", "gradient", weight=PENALTY, critic=MLPCritic(2, (32,)))
    ends = (lambda s: draw_line(128, 0.0, s).float(), lambda s: draw_line(128, theta, s).float())
    learned(objective, *ends, steps=300)
    with torch.no_grad():
        gap = (objective.critic(ends[0](-1)).mean() - objective.critic(ends[1](-2)).mean()).item()
    distance = PENALTY * (math.sqrt(1 + 2 * gap / PENALTY) - 1)  # of gap = W + W^2 / (2 lambda)
    assert distance == pytest.approx(theta, rel=0.05)
    assert gap == pytest.approx(theta * (1 + theta / (2 * PENALTY)), rel=0.05)


def test_between_parallel_lines_the_classifier_reads_the_same_at_any_distance():
    """Its loss goes to 0 wherever the other line is: log 4 - 2 JS with JS = log 2."""
    for theta in (0.25, 1.0):
        with seeded(0):
            objective = Adversarial("non_saturating", "none", critic=MLPCritic(2, (32,)))
        ends = (lambda s: draw_line(64, 0.0, s).float(), lambda s, at=theta: draw_line(64, at, s).float())
        loss = learned(objective, *ends, steps=250, lr=5e-2)
        assert loss.terms["critic"] < 0.02 and loss.terms["accuracy"] == 1
