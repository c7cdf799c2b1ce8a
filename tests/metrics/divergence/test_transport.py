"""The primal equals the dual, the plan moves p to q, and nothing is annealed."""

import itertools
import math
import sys

import ot
import pytest
import torch
from scipy.optimize import linprog

from fairway.metrics.divergence.transport import dual_potential, optimal_transport, wasserstein


def problem(seed, k=12):
    """Tables with zeros on k points of the plane, and the distances between them."""
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.rand(2, k, generator=generator, dtype=torch.float64).sub(0.2).clamp(min=0)
    points = torch.randn(k, 2, generator=generator, dtype=torch.float64)
    return p / p.sum(), q / q.sum(), torch.cdist(points, points)


def by_linear_programming(p, q, cost):
    n, m = cost.shape
    rows, columns = torch.eye(n).repeat_interleave(m, 1), torch.eye(m).repeat(1, n)
    marginals, sums = torch.cat([rows, columns]).numpy(), torch.cat([p, q]).numpy()
    return linprog(cost.flatten().numpy(), A_eq=marginals, b_eq=sums, method="highs").fun


@pytest.mark.parametrize("seed", range(5))
def test_the_primal_is_the_linear_programme_and_the_lipschitz_dual(seed):
    p, q, distance = problem(seed)
    found = optimal_transport(p, q, distance)
    assert found.cost == pytest.approx(by_linear_programming(p, q, distance), abs=1e-9)
    f = dual_potential(p, q, distance)
    assert float(f @ (p - q)) == pytest.approx(found.cost, abs=1e-9)
    assert bool(((f.unsqueeze(1) - f).abs() <= distance + 1e-9).all())


@pytest.mark.parametrize("seed", range(5))
def test_the_plan_moves_p_to_q_and_the_potentials_prove_it_best(seed):
    p, q, distance = problem(seed)
    found = optimal_transport(p, q, distance)
    torch.testing.assert_close(found.plan.sum(1), p, atol=1e-12, rtol=0)
    torch.testing.assert_close(found.plan.sum(0), q, atol=1e-12, rtol=0)
    assert bool((found.plan >= 0).all()) and bool((found.u.unsqueeze(1) + found.v <= distance + 1e-12).all())
    assert float(found.u @ p + found.v @ q) == pytest.approx(found.cost, abs=1e-9)
    assert bool(((found.u.unsqueeze(1) - found.u).abs() <= distance + 1e-12).all())  # 1-Lipschitz, on all points


def test_small_sets_have_the_best_of_all_pairings():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(6, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    best = min(float((x - y[list(order)]).norm(dim=1).mean()) for order in itertools.permutations(range(6)))
    assert wasserstein(x, y).value == pytest.approx(best, abs=1e-12)


def test_an_annealed_sinkhorn_would_not_do():
    """Entropic plans at a coarse setting are far from the value that is returned, which is the exact one."""
    p, q, distance = problem(3)
    p, q = (p + 0.1) / (p + 0.1).sum(), (q + 0.1) / (q + 0.1).sum()
    exact = by_linear_programming(p, q, distance)
    entropic = float((torch.from_numpy(ot.sinkhorn(p.numpy(), q.numpy(), distance.numpy(), reg=1.0)) * distance).sum())
    assert abs(entropic - exact) > 0.1 * exact
    assert optimal_transport(p, q, distance).cost == pytest.approx(exact, abs=1e-9)


def test_a_shift_is_its_length_in_both_orders():
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x[torch.randperm(40)] + torch.tensor([3.0, 0, 4, 0, 0])
    for order in (1, 2):
        assert wasserstein(x, y, order=order).value == pytest.approx(5, rel=1e-9)
    assert wasserstein(x[:, :1], y[:, :1]).value == pytest.approx(3, rel=1e-9)


def test_weights_count_as_repeated_rows():
    x, y = torch.tensor([[0.0, 0], [2, 0]]), torch.tensor([[0.0, 1], [2, 1], [5, 5]])
    weighted = wasserstein(x, y, p=[0.75, 0.25], q=[0.5, 0.25, 0.25])
    assert weighted.value == pytest.approx(wasserstein(x[[0, 0, 0, 1]], y[[0, 0, 1, 2]]).value, abs=1e-12)


def test_sets_of_other_sizes_keep_their_marginals():
    p, q = torch.full((3,), 1 / 3), torch.full((7,), 1 / 7)
    found = optimal_transport(p, q, torch.rand(3, 7))
    torch.testing.assert_close(found.plan.sum(0), q.double(), atol=1e-6, rtol=0)
    assert math.isclose(float(found.plan.sum()), 1, abs_tol=1e-12)


def test_what_cannot_be_transported_is_refused():
    with pytest.raises(ValueError, match=r"cost \(n, m\), got \(2,\), \(1,\), \(1, 2\)"):
        optimal_transport([0.5, 0.5], [1.0], [[1.0, 2.0]])
    with pytest.raises(ValueError, match="finite costs"):
        optimal_transport([1.0], [1.0], [[float("nan")]])
    with pytest.raises(ValueError, match=r"distance \(K, K\)"):
        dual_potential([0.5, 0.5], [0.5, 0.5], [[0.0]])
    with pytest.raises(ValueError, match="order 1 or 2"):
        wasserstein(torch.ones(2, 2), torch.ones(2, 2), order=3)


def test_without_pot_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ImportError, match=r"fairway\[metrics\]"):
        optimal_transport([1.0], [1.0], [[1.0]])
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"fairway\[metrics\]"):
        dual_potential([1.0], [1.0], [[0.0]])
