"""Jumps drawn from the reference: the tilted law stays, a wrong law comes near at the known rate, far modes or not."""

import math

import numpy as np
import pytest
import torch

from fairway.core.random import Rows
from fairway.samplers.independence import jumped
from fairway.testing.statistics import ALARM, chi_square_p

N = 40_000
GRID = torch.linspace(-6, 6, 4801, dtype=torch.float64)
EDGES = torch.linspace(-3, 3, 25, dtype=torch.float64)


def tilt(u):
    """f: the law exp(f) N(0, 1) / Z has two modes, uneven, and next to nothing between them."""
    x = u.flatten(1).sum(1)
    return 3 * x.square() - 0.4 * x.square().square() + 0.5 * x


def normalised(density):
    return density / density.sum()


Q = normalised(torch.exp(-GRID.square() / 2))
P = normalised(torch.exp(tilt(GRID.unsqueeze(1))) * Q)


def exact(n, seed):
    """Draws (n, 1) of p by its distribution function on the grid."""
    u = Rows(seed, n, dtype=torch.float64).uniform()
    return torch.from_numpy(np.interp(u.numpy(), P.cumsum(0).numpy(), GRID.numpy())).unsqueeze(1)


def proposals(n, seed):
    return Rows(seed, n, dtype=torch.float64).normal(1)


def shares(u):
    """Share of the draws, and of p, in every cell."""
    counts = torch.bincount(torch.bucketize(u.flatten(), EDGES), minlength=len(EDGES) + 1)
    expected = torch.zeros(len(EDGES) + 1, dtype=torch.float64).index_add_(0, torch.bucketize(GRID, EDGES), P)
    return counts / len(u), expected


def test_the_tilted_law_is_left_invariant():
    u, proposed = exact(N, 0), proposals(N, 1)
    after, moved = jumped(tilt, u, proposed, Rows(2, N, dtype=torch.float64))
    for draws, holds in ((u, True), (after, True), (after[moved], False), (proposed, False)):
        seen, expected = shares(draws)
        p = chi_square_p(seen * len(draws), expected * len(draws))
        assert p > ALARM if holds else p < 1e-10


def test_as_many_jump_as_the_ratio_says():
    """E min(1, exp(f(u') - f(u))) over u of p and u' of q, by quadrature."""
    _, moved = jumped(tilt, exact(N, 0), proposals(N, 1), Rows(2, N, dtype=torch.float64))
    coarse, p, q = GRID[::8], normalised(P[::8]), normalised(Q[::8])
    f = tilt(coarse.unsqueeze(1))
    expected = float(p @ (f - f.unsqueeze(1)).clamp(max=0).exp() @ q)
    assert 0.1 < expected < 0.9
    assert float(moved.double().mean()) == pytest.approx(expected, abs=5 * math.sqrt(0.25 / N))


def test_a_wrong_law_comes_near_at_the_rate_of_the_largest_weight():
    """Total variation after k jumps is at most (1 - 1 / sup w)^k, w = p / q (Mengersen & Tweedie 1996, theorem 2.1)."""
    u = torch.full((N, 1), -1.7, dtype=torch.float64)  # all in the lesser mode
    largest, distances = float((P / Q).max()), []
    for k in range(1, 61):
        u, _ = jumped(tilt, u, proposals(N, 2 * k), Rows(2 * k + 1, N, dtype=torch.float64))
        seen, expected = shares(u)
        distances.append(0.5 * float((seen - expected).abs().sum()))
        assert distances[-1] < (1 - 1 / largest) ** k + 0.02
    assert distances[0] > 0.3 and distances[-1] < 0.02


def test_shares_of_modes_that_no_step_connects():
    """Two cells with nothing between them: the chains get their shares by jumps alone."""

    def wells(u):
        x = u.flatten(1).sum(1)
        return torch.where((x.abs() - 1).abs() < 0.2, torch.where(x > 0, math.log(4.0), 0.0), -math.inf)

    u = torch.full((4000, 1), -1.0, dtype=torch.float64)
    for k in range(60):
        u, _ = jumped(wells, u, proposals(4000, 2 * k), Rows(2 * k + 1, 4000, dtype=torch.float64))
    assert bool(((u.abs() - 1).abs() < 0.2).all())
    assert float((u > 0).double().mean()) == pytest.approx(0.8, abs=5 * 0.4 / math.sqrt(4000))


@pytest.mark.parametrize(("there", "taken"), [(0.0, True), (1.0, True), (-math.inf, False), (math.nan, False)])
def test_nothing_impossible_is_taken_and_nothing_as_good_is_refused(there, taken):
    u, proposed = torch.zeros(64, 1, 2, 2), torch.ones(64, 1, 2, 2)
    after, moved = jumped(lambda both: torch.where(both[:, 0, 0, 0] > 0, there, 0.0), u, proposed, Rows(0, 64))
    assert moved.tolist() == [taken] * 64
    assert torch.equal(after, proposed if taken else u)


def test_row_i_does_not_depend_on_the_other_rows():
    u, proposed = exact(200, 0), proposals(200, 1)
    after, moved = jumped(tilt, u, proposed, Rows(2, 200, dtype=torch.float64))
    part = slice(70, 130)
    again, again_moved = jumped(tilt, u[part], proposed[part], Rows(2, 60, start=70, dtype=torch.float64))
    assert torch.equal(again, after[part]) and torch.equal(again_moved, moved[part])


def test_no_graph_is_kept():
    weight = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    after, _ = jumped(lambda both: (both @ weight).flatten(), exact(10, 0), proposals(10, 1), Rows(0, 10))
    assert not after.requires_grad
