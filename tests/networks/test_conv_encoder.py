"""The convolutions of a critic with other heads: every part is used, and the head is no projection."""

import pytest
import torch

from fairway.core.random import Rows, seeded
from fairway.networks.conv_encoder import ConvEncoder, JointCritic


def build(network, *arguments, **options):
    with seeded(0):
        return network(*arguments, hidden=(4, 8), **options)


@pytest.mark.parametrize("shape", [(16, 24), (3, 16, 16)])
@pytest.mark.parametrize("context", [0, 2])
def test_shapes_and_that_every_parameter_is_used(shape, context):
    u, told = Rows(0, 5).normal(*shape), Rows(1, 5).normal(context) if context else None
    for network, wanted in (
        (build(ConvEncoder, shape, 6, context), (5, 6)),
        (build(JointCritic, shape, context), (5,)),
    ):
        answer = network(u, told)
        assert answer.shape == wanted
        answer.square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_rows_do_not_see_one_another():
    u, told = Rows(0, 5).normal(16, 16), Rows(1, 5).normal(2)
    for network in (build(ConvEncoder, (16, 16), 3, 2, norm="pixel"), build(JointCritic, (16, 16), 2, norm="pixel")):
        torch.testing.assert_close(network(u, told)[2:3], network(u[2:3], told[2:3]))


def test_the_joint_critic_bends_in_the_context():
    """A projection is linear in it: the second difference at equal steps would be 0."""
    critic, u = build(JointCritic, (16, 16), 2), Rows(0, 5).normal(16, 16)
    a, step = Rows(1, 5).normal(2), 3 * Rows(2, 5).normal(2)
    bend = critic(u, a + step) - 2 * critic(u, a) + critic(u, a - step)
    assert (bend.abs() > 1e-3).any()


def test_sides_that_cannot_be_halved_are_refused():
    for network in (lambda: ConvEncoder((10, 10), 3), lambda: JointCritic((10, 10), 3)):
        with pytest.raises(ValueError, match="10"):
            network()
