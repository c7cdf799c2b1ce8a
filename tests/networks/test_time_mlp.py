"""The time-conditioned perceptron: starts at zero, sees time and context, keeps the shape of its input."""

import torch

from fairway.core.random import Rows, seeded
from fairway.networks.time_mlp import TimeMLP


def test_starts_at_zero_and_keeps_the_shape():
    with seeded(0):
        network = TimeMLP(12, hidden=(16, 8))
    u = Rows(0, 5).normal(3, 2, 2)
    out = network(u, torch.rand(5, generator=torch.Generator().manual_seed(0)))
    assert out.shape == u.shape
    assert torch.equal(out, torch.zeros_like(u))


def test_time_and_context_reach_the_output():
    with seeded(0):
        network = TimeMLP(2, context=3, hidden=(16, 16))
        torch.nn.init.normal_(network.last[1].weight)
    u, context = Rows(0, 4).normal(2), torch.eye(3)[[0, 1, 2, 0]]
    base = network(u, torch.full((4,), 0.3), context)
    assert not torch.allclose(base, network(u, torch.full((4,), 0.4), context))
    assert not torch.allclose(base, network(u, torch.full((4,), 0.3), context.roll(1, 0)))


def test_rows_do_not_see_each_other():
    with seeded(0):
        network = TimeMLP(2, hidden=(16, 16))
        torch.nn.init.normal_(network.last[1].weight)
    u, t = Rows(0, 6).normal(2), torch.linspace(0, 1, 6)
    torch.testing.assert_close(network(u, t)[2:4], network(u[2:4], t[2:4]))


def test_a_missing_context_is_a_learned_one_where_it_is_dropped():
    with seeded(0):
        network = TimeMLP(2, context=3, hidden=(16,), context_dropout=0.5).eval()
        torch.nn.init.normal_(network.last[1].weight)
        torch.nn.init.normal_(network.conditions.nothing)
    u, t = Rows(0, 4).normal(2), torch.full((4,), 0.3)
    without = network(u, t)
    assert not torch.allclose(without, network(u, t, torch.zeros(4, 3)))
    with torch.no_grad():
        network.conditions.nothing.zero_()
    torch.testing.assert_close(network(u, t), network(u, t, torch.zeros(4, 3)))
