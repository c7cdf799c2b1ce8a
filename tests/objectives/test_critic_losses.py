"""Losses against closed forms at the best critic, and the slope that the generator gets."""

import math

import pytest
import torch
from torch.func import grad

from fairway.objectives.critic_losses import DIVERGENCES, SMOOTHING
from fairway.objectives.f_gan import F_GANS

P, Q = torch.tensor([0.7, 0.2, 0.1]).double(), torch.tensor([0.1, 0.3, 0.6]).double()
ZERO = torch.zeros(3).double()


def value(name, logit):
    """The critic's loss with rows drawn from P and Q."""
    loss = DIVERGENCES[name].critic
    of_real = P * (loss(logit, ZERO) - loss(ZERO, ZERO))
    of_fake = Q * (loss(ZERO, logit) - loss(ZERO, ZERO))
    return (of_real + of_fake).sum() + loss(ZERO[:1], ZERO[:1]).squeeze()


def test_the_best_logit_is_the_log_ratio_and_its_value_the_jensen_shannon_divergence():
    best = (P / Q).log()
    m = (P + Q) / 2
    divergence = 0.5 * (P * (P / m).log() + Q * (Q / m).log()).sum()
    torch.testing.assert_close(-value("minimax", best), 2 * divergence - math.log(4))
    slope = grad(lambda logit: value("non_saturating", logit))(best)
    torch.testing.assert_close(slope, ZERO)
    assert all(value("minimax", best + step) > value("minimax", best) for step in 0.1 * torch.eye(3).double())


def test_equal_laws_are_worth_log_4():
    loss = DIVERGENCES["minimax"].critic
    assert loss(torch.zeros(1), torch.zeros(1)).item() == pytest.approx(math.log(4))


def test_wasserstein_with_the_best_critic_is_the_distance():
    real, fake = torch.tensor([0.0, 1.0]), torch.tensor([3.0, 4.0])
    loss = DIVERGENCES["wasserstein"].critic(-real, -fake).mean()  # the best 1-Lipschitz critic of a shift
    assert -loss.item() == 3.0


def test_a_sure_critic_leaves_the_minimax_generator_without_a_slope():
    sure, zero = torch.tensor([-30.0, 0.0, 30.0]).double(), torch.zeros(3).double()

    def slope(name):
        return grad(lambda a: DIVERGENCES[name].generator(a, zero).sum())(sure)

    torch.testing.assert_close(slope("minimax"), -sure.sigmoid())
    torch.testing.assert_close(slope("non_saturating"), sure.sigmoid() - 1)
    assert slope("minimax")[0].abs() < 1e-12 and slope("non_saturating")[0] < -1 + 1e-12


def test_smoothing_moves_the_target_of_real_rows_alone():
    logit = torch.tensor(math.log((1 - SMOOTHING) / SMOOTHING), dtype=torch.float64)
    loss, zero = DIVERGENCES["smoothed"].critic, torch.zeros(()).double()
    assert grad(lambda r: loss(r, zero))(logit).item() == pytest.approx(0, abs=1e-12)  # sigma(r) = 0.9
    assert grad(lambda f: loss(zero, f))(torch.tensor(-30.0).double()).item() == pytest.approx(0, abs=1e-9)


def test_hinge_stops_at_its_margin_and_least_squares_at_its_targets():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    assert DIVERGENCES["hinge"].critic(real, fake).tolist() == [0.0, 1.5]
    assert DIVERGENCES["least_squares"].critic(torch.ones(1), torch.zeros(1)).item() == 0
    assert DIVERGENCES["least_squares"].generator(torch.ones(1), real[:1]).item() == 0


def test_relativistic_losses_see_differences_and_mirror_each_other():
    real, fake = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    law = DIVERGENCES["relativistic"]
    torch.testing.assert_close(law.critic(real + 7, fake + 7), law.critic(real, fake))
    torch.testing.assert_close(law.generator(fake, real), law.critic(fake, real))


@pytest.mark.parametrize("name", list(DIVERGENCES))
def test_every_critic_likes_real_rows_more_and_every_generator_follows(name):
    law, at = DIVERGENCES[name], torch.full((1,), 0.5).double()
    assert grad(lambda a: law.critic(a, at).sum())(at) < 0 < grad(lambda a: law.critic(at, a).sum())(at)
    assert grad(lambda a: law.generator(a, at).sum())(at) < 0


def test_f_divergences_are_in_the_table():
    assert set(F_GANS) < set(DIVERGENCES)
