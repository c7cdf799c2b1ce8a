"""What a logit sees, alone or beside the image that it should go with."""

import pytest
import torch

from fairway.core.config import from_json, to_json
from fairway.core.random import Rows, seeded
from fairway.networks.patch_critic import PatchCritic


def build(*arguments, **options):
    with seeded(0):
        return PatchCritic(*arguments, **options).double()


def images(*shape, seed=0):
    return Rows(seed, shape[0], dtype=torch.float64).normal(*shape[1:])


@pytest.mark.parametrize("halvings", [1, 2, 3])
def test_a_logit_sees_its_patch_and_nothing_else(halvings):
    critic = build(1, hidden=(4,) * halvings, norm="none")
    side = 16 * 2**halvings
    u = images(1, 1, side, side).requires_grad_()
    logits = critic(u)
    assert logits.shape == (1, 16, 16)
    (slope,) = torch.autograd.grad(logits[0, 8, 8], u)
    seen = slope[0, 0].ne(0).nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [critic.patch] * 2
    assert critic.patch == {1: 8, 2: 18, 3: 38}[halvings]


def test_a_norm_tells_every_patch_of_the_whole_image():
    critic, u = build(1, hidden=(4, 4)), images(1, 1, 32, 32).requires_grad_()
    (slope,) = torch.autograd.grad(critic(u)[0, 0, 0], u)
    assert slope.ne(0).all()


def test_it_judges_a_pair_and_no_image_sees_its_neighbours():
    critic = build(3, context=2, hidden=(4, 4))
    u, context = images(4, 3, 16, 8), images(4, 2, 16, 8, seed=1)
    assert critic(u, context).shape == (4, 4, 2)
    torch.testing.assert_close(critic(u, context)[2:3], critic(u[2:3], context[2:3]))
    assert (critic(u, context) != critic(u, context.flip(0))).all()
    grey = build(1, context=1, hidden=(4,))
    torch.testing.assert_close(grey(u[:, 0], context[:, 0]), grey(u[:, :1], context[:, :1]))


def test_a_critic_refuses_what_it_was_not_built_for():
    pair, alone = PatchCritic(1, context=2, hidden=(4, 4)), PatchCritic(1, hidden=(4, 4))
    u = torch.zeros(1, 8, 8)
    with pytest.raises(ValueError, match="expected an image of 2 channels beside u, got none"):
        pair(u)
    with pytest.raises(ValueError, match="expected no image beside u, got one"):
        alone(u, u)
    with pytest.raises(ValueError, match=r"expected a context image \(batch, 2, height, width\), got \(1, 8, 8\)"):
        pair(u, u)
    with pytest.raises(ValueError, match="sides of 8 pixels or more for a critic of 2 halvings, got 4 x 9"):
        alone(torch.zeros(1, 4, 9))
    with pytest.raises(ValueError, match="expected norm among instance, none; got 'batch'"):
        PatchCritic(1, norm="batch")


def test_odd_sides_are_halved_rounding_down():
    assert build(1, hidden=(4, 4))(images(2, 1, 9, 15)).shape == (2, 2, 3)


def test_a_configuration_rebuilds_it():
    critic = build(3, context=1, hidden=(4,), norm="none")
    again = from_json(to_json(critic))
    assert isinstance(again, PatchCritic)
    assert [p.shape for p in again.parameters()] == [p.shape for p in critic.parameters()]
