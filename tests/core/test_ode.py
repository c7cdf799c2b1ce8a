"""Solvers against closed forms: their order, their log-determinant, and rows that do not see one another."""

import math

import pytest
import torch

from fairway.core.ode import EXACT_TRACE, METHODS, grid, integrate, integrate_with_ladj
from fairway.core.random import Rows

ONE = torch.ones(1, 1, dtype=torch.float64)


def _error(method, steps):
    """du/dt = u cos t, u(0) = 1: u(2) = e^{sin 2}."""
    end = integrate(lambda u, t: u * torch.cos(t), ONE, grid(0.0, 2.0, steps, ONE), method)
    return abs(float(end) - math.exp(math.sin(2.0)))


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2), ("rk4", 4)])
def test_the_error_falls_with_the_order_of_the_method(method, order):
    assert math.log2(_error(method, 40) / _error(method, 80)) == pytest.approx(order, abs=0.15)


def test_methods_cost_what_they_say():
    calls = []
    for i, (method, cost) in enumerate(METHODS.items()):
        integrate(lambda u, t: calls.append(t) or u, ONE, grid(0.0, 1.0, 5, ONE), method)
        assert len(calls) == 5 * sum([*METHODS.values()][: i + 1]) and cost == METHODS[method]
    with pytest.raises(ValueError, match="expected a method among euler, heun, rk4"):
        integrate(lambda u, t: u, ONE, grid(0.0, 1.0, 5, ONE), "rk5")


def test_backwards_undoes_forwards():
    u = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    there = integrate(lambda u, t: torch.sin(u) + t, u, grid(0.0, 1.0, 60, u))
    back = integrate(lambda u, t: torch.sin(u) + t, there, grid(1.0, 0.0, 60, u))
    assert torch.allclose(back, u, atol=1e-7)


def _linear(dims):
    matrix = torch.randn(dims, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(dims)) / dims
    return matrix, lambda u, t: (u.flatten(1) @ matrix.T).reshape(u.shape)


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2)])
def test_the_trace_of_a_linear_field_is_exact(shape):
    u = torch.randn(5, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    matrix, field = _linear(u[0].numel())
    end, ladj = integrate_with_ladj(field, u, grid(0.0, 1.5, 40, u))
    expected = u.flatten(1) @ torch.matrix_exp(1.5 * matrix).T
    assert torch.allclose(end.flatten(1), expected, atol=1e-6)
    assert torch.allclose(ladj, 1.5 * matrix.trace().expand(5), atol=1e-9)


def test_the_ladj_of_a_curved_field_is_the_log_determinant_of_its_map():
    u = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def field(u, t):
        return torch.stack([torch.sin(u[:, 1]) * u[:, 0], torch.tanh(u.sum(1)) + t], 1)

    def end_of(row):
        return integrate(field, row.unsqueeze(0), grid(0.0, 1.0, 40, u))[0]

    _, ladj = integrate_with_ladj(field, u, grid(0.0, 1.0, 40, u))
    jacobians = torch.stack([torch.autograd.functional.jacobian(end_of, row) for row in u])
    assert torch.allclose(ladj, torch.linalg.slogdet(jacobians).logabsdet, atol=1e-6)


def test_many_entries_are_estimated_the_same_for_every_row_and_every_call():
    u = torch.randn(6, EXACT_TRACE + 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    matrix, field = _linear(EXACT_TRACE + 4)
    times = grid(0.0, 1.0, 4, u)
    _, ladj = integrate_with_ladj(field, u, times)
    assert torch.allclose(integrate_with_ladj(field, u[2:3], times)[1], ladj[2:3])
    with torch.no_grad():
        _, many = integrate_with_ladj(field, u, times[-2:], probes=1000)
    assert float(many[0]) == pytest.approx(float(matrix.trace() / 4), abs=0.05)


def test_probes_of_a_row_s_own_are_unbiased_and_do_not_see_its_neighbours():
    dims = EXACT_TRACE + 4
    u = torch.randn(1, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).expand(2000, dims)
    matrix, field = _linear(dims)
    times, rows = grid(0.0, 1.0, 2, u), Rows(0, 2000, dtype=torch.float64)
    with torch.no_grad():
        _, ladj = integrate_with_ladj(field, u, times, rows=rows)
        _, few = integrate_with_ladj(field, u[:5], times, rows=Rows(0, 5, dtype=torch.float64))
        _, four = integrate_with_ladj(field, u, times, probes=4, rows=rows)
    assert float(ladj.mean()) == pytest.approx(float(matrix.trace()), abs=4 * float(ladj.std()) / 2000**0.5)
    assert float(ladj.std()) > 0.05 and torch.allclose(few, ladj[:5])
    assert float(four.std() / ladj.std()) == pytest.approx(0.5, abs=0.04)


def test_a_longer_path_averages_the_estimate_s_error():
    """One probe for the whole path would make the same error at every step, however many there are."""
    dims = EXACT_TRACE + 4
    u, (matrix, field) = torch.ones(1, dims, dtype=torch.float64), _linear(dims)
    symmetric = (matrix + matrix.T) / 2
    spread = float((2 * (symmetric.square().sum() - symmetric.diagonal().square().sum())).sqrt())
    _, ladj = integrate_with_ladj(field, u, grid(0.0, 1.0, 100, u))
    assert abs(float(ladj[0].detach() - matrix.trace())) < 0.25 * spread


def test_the_ladj_carries_a_gradient_where_one_is_wanted():
    scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    u = torch.ones(2, 3, dtype=torch.float64)
    _, ladj = integrate_with_ladj(lambda u, t: scale * u, u, grid(0.0, 1.0, 3, u))
    (slope,) = torch.autograd.grad(ladj.sum(), scale)
    assert float(slope) == pytest.approx(6.0)
    with torch.no_grad():
        assert not integrate_with_ladj(lambda u, t: scale * u, u, grid(0.0, 1.0, 3, u))[1].requires_grad


def test_a_constant_field_has_no_trace():
    u = torch.zeros(2, 2)
    end, ladj = integrate_with_ladj(lambda u, t: torch.ones_like(u), u, grid(0.0, 1.0, 2, u))
    assert torch.allclose(end, torch.ones(2, 2)) and torch.equal(ladj, torch.zeros(2))
