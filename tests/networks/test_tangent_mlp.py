"""Tangents against autograd; a start at zero; time and context that reach the output."""

import torch

from fairway.core.random import Rows, seeded
from fairway.networks.tangent_mlp import TangentMLP


def redrawn(*args, **kwargs):
    with seeded(0):
        network = TangentMLP(*args, **kwargs).double()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return network.requires_grad_(False)


def test_it_starts_at_zero():
    u = Rows(0, 5).normal(4)
    assert torch.equal(TangentMLP(4, hidden=(8,))(u, torch.tensor(0.3)), torch.zeros(5, 4))


def test_tangents_of_the_identity_are_the_jacobian():
    network, t = redrawn(3, context=2, hidden=(8, 6)), torch.tensor(0.7, dtype=torch.float64)
    u, context = Rows(1, 4, dtype=torch.float64).normal(3), Rows(2, 4, dtype=torch.float64).normal(2)
    velocity, slopes = network.with_tangents(u, t, torch.eye(3).double().unsqueeze(1), context)
    torch.testing.assert_close(velocity, network(u, t, context))
    for b in range(4):
        row = context[b : b + 1]
        jacobian = torch.autograd.functional.jacobian(lambda v, row=row: network(v.unsqueeze(0), t, row)[0], u[b])
        torch.testing.assert_close(slopes[:, b].T, jacobian)


def test_tangents_are_linear_in_the_direction():
    network, t = redrawn(3, hidden=(8,)), torch.tensor(0.2, dtype=torch.float64)
    u, signs = Rows(1, 4, dtype=torch.float64).normal(3), Rows(3, 4, dtype=torch.float64).normal(3)
    _, basis = network.with_tangents(u, t, torch.eye(3).double().unsqueeze(1))
    _, along = network.with_tangents(u, t, signs.unsqueeze(0))
    torch.testing.assert_close(along[0], torch.einsum("bk,kbd->bd", signs, basis))


def test_time_and_context_reach_the_output():
    network, u = redrawn(2, context=1, hidden=(8,)), Rows(0, 3, dtype=torch.float64).normal(2)
    time, context = torch.full((3,), 0.4, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64)
    here = network(u, time, context)
    assert float((network(u, time + 0.1, context) - here).abs().min()) > 1e-4
    assert float((network(u, time, -context) - here).abs().min()) > 1e-4
    torch.testing.assert_close(network(u, time[0], context), here)  # one time for all rows, or one each
