"""Solves against closed forms and autograd; estimates against what they estimate; signs that stay for a solve."""

import pytest
import torch

from fairway.core.random import Rows, seeded
from fairway.models.flow.transforms.continuous import FINER, PROBES, Continuous
from fairway.networks.tangent_mlp import TangentMLP


def normal(*shape, seed=0):
    return Rows(seed, shape[0], dtype=torch.float64).normal(*shape[1:])


class Linear(torch.nn.Module):
    """v = A u, whose flow is e^{A t}."""

    def __init__(self, dims):
        super().__init__()
        self.matrix = torch.nn.Parameter(0.5 * normal(dims, dims, seed=dims))

    def forward(self, u, t, context=None):
        return u @ self.matrix.T


class Plain(torch.nn.Module):
    """A network that hides its tangents."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, u, t, context=None):
        return self.inner(u, t, context)


def curved(dims, exact=True, steps=4):
    with seeded(0):
        network = TangentMLP(dims, hidden=(8, 8)).double()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return Continuous(network, dims, steps, exact).eval().requires_grad_(False)


def test_a_linear_field_has_its_closed_forms():
    link, u = Continuous(Linear(3).double(), 3, 12, exact=True).eval(), normal(5, 3)
    path, matrix = link.path(u), link.network.matrix.detach()
    torch.testing.assert_close(path.end, u @ torch.matrix_exp(matrix).T, atol=1e-7, rtol=0)
    torch.testing.assert_close(path.ladj, matrix.trace().expand(5))
    torch.testing.assert_close(path.jacobian, matrix.square().sum().expand(5))
    times = torch.linspace(0, 1, 501, dtype=torch.float64)
    speeds = torch.stack([(u @ torch.matrix_exp(matrix * t).T @ matrix.T).square().sum(1) for t in times])
    torch.testing.assert_close(path.kinetic, torch.trapezoid(speeds, times, dim=0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("direction", ["to_latent", "to_data"])
def test_ladj_is_the_log_determinant(direction):
    function, rows = getattr(curved(3), direction), normal(4, 3)
    for row, value in zip(rows, function(rows)[1], strict=True):
        matrix = torch.autograd.functional.jacobian(lambda r: function(r.unsqueeze(0))[0][0], row)
        torch.testing.assert_close(torch.linalg.slogdet(matrix)[1], value, atol=1e-5, rtol=0)


@pytest.mark.parametrize("exact", [True, False])
def test_the_way_back_undoes_the_way_there_and_its_ladj(exact):
    link, u = curved(4, exact, steps=8), normal(6, 4)
    z, there = link.to_latent(u)
    again, back = link.to_data(z)
    torch.testing.assert_close(again, u, atol=1e-7, rtol=0)
    torch.testing.assert_close(back, -there, atol=1e-6, rtol=0)


def test_a_network_without_tangents_is_differentiated():
    link, u = curved(3), normal(5, 3)
    plain = Continuous(Plain(link.network), 3, link.steps, exact=True).eval()
    for found, wanted in zip(plain.path(u), link.path(u), strict=True):
        torch.testing.assert_close(found, wanted)


def test_estimates_are_unbiased_and_fixed_in_evaluation():
    exact, link = curved(5), curved(5, exact=False)
    u = normal(1, 5).expand(4000, 5)
    wanted = exact.path(u[:1])
    drawn = link.path(u, rows=Rows(3, 4000, dtype=torch.float64))
    for name in ("ladj", "jacobian"):
        values = getattr(drawn, name)
        error = float(values.std()) / 4000**0.5
        assert abs(float(values.mean() - getattr(wanted, name))) < 4 * error
    assert float(drawn.ladj.std()) > 1e-3  # every row its own signs
    fixed = link.path(u[:3]).ladj
    assert torch.equal(fixed, link.path(u[:3]).ladj) and float((fixed - fixed[0]).abs().max()) < 1e-12
    assert abs(float(fixed[0] - wanted.ladj)) < 4 * float(drawn.ladj.std()) / PROBES**0.5


def test_gradients_go_back_through_the_steps():
    link, u = curved(2, steps=1).train().requires_grad_(True), normal(3, 2)
    names = [name for name, _ in link.named_parameters()]

    def loss(*values):
        end, ladj = torch.func.functional_call(link, dict(zip(names, values, strict=True)), (u,), strict=True)
        return end.square().sum() + ladj.sum()

    link.forward = link.to_latent
    assert torch.autograd.gradcheck(loss, tuple(link.parameters()))


def test_evaluation_takes_finer_steps():
    link, calls = curved(2, steps=3), []
    link.network.register_forward_hook(lambda *_: calls.append(1))
    link.move(normal(2, 2), 0.0, 1.0, 5)
    assert len(calls) == 20
    assert link.solve_steps == 3 * FINER and link.train().solve_steps == 3


def test_wild_parameters_and_inputs_stay_finite():
    link = curved(3)
    for parameter in link.parameters():
        parameter.mul_(250)
    for u in (normal(5, 3).float(), 1e4 * normal(5, 3).float()):
        for value in (*link.float().to_latent(u), *link.to_data(u)):
            assert value.isfinite().all()
