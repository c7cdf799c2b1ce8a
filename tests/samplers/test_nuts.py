"""The tree: where it turns, what it costs, which leaves it draws, and that each chain grows its own."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers import draw
from fairway.samplers.driver import ChainError, Fixed, Long
from fairway.samplers.hmc import kinetic, leapfrog
from fairway.samplers.mcmc import MCMC
from fairway.samplers.nuts import NUTS, turning
from fairway.samplers.target import Target

NORMAL = Target(lambda u: -0.5 * u.square().sum(1), event=Event((2,)))


def uniforms(value, n, doublings=10):
    return torch.full((n, doublings), value, dtype=torch.float64)


def roll(kernel, u, p, *, direction=0.0, leaf=0.5, merge=0.5, target=NORMAL):
    """One step with the same numbers at every level."""
    noise = {"momentum": p, **{k: uniforms(v, len(u)) for k, v in (("direction", direction), ("leaf", leaf))}}
    return kernel.step(target, kernel.init(target, u), noise | {"merge": uniforms(merge, len(u))})


@pytest.mark.parametrize(
    ("rho", "first", "last", "turned"),
    [
        ((3.0, 0.0), (1.0, 0.0), (1.0, 0.0), False),  # a straight line
        ((0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), True),  # it has come back
        ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), False),  # a quarter of a circle
        ((-1.0, 2.0), (1.0, 0.2), (-1.0, 0.2), True),  # past half of it
    ],
)
def test_where_a_trajectory_turns(rho, first, last, turned):
    row = [torch.tensor([v]).double() for v in (rho, first, last)]
    assert bool(turning(*row)) == turned
    assert bool(turning(row[0], row[2], row[1])) == turned  # whichever end is called the first
    assert bool(turning(-row[0], -row[2], -row[1])) == turned  # and run backwards


def test_a_trajectory_on_a_gaussian_is_about_half_a_turn():
    """A circle: 2^j - 1 leapfrogs, the first whose angle would pass a half turn, so between pi / 2 and 2 pi."""
    rows = Rows(0, 200, dtype=torch.float64)
    for step in (0.4, 0.1, 0.02):
        _, info = roll(NUTS(step), rows.normal(2), rows.normal(2))
        leaves = torch.tensor(info.gradients)
        assert 0.5 * math.pi < float(leaves) * step < 2 * math.pi
        assert not bool(info.divergent.any()) and float(info.acceptance.mean()) > 0.95


def test_the_depth_is_bounded():
    rows = Rows(0, 20, dtype=torch.float64)
    _, info = NUTS(1e-3, 4).step(
        NORMAL,
        NUTS(1e-3, 4).init(NORMAL, rows.normal(2)),
        {"momentum": rows.normal(2), **{k: rows.uniform(4) for k in ("direction", "leaf", "merge")}},
    )
    assert info.gradients == 2**4 - 1


def test_the_point_picked_lies_on_the_trajectory_with_its_value_and_gradient():
    rows = Rows(1, 50, dtype=torch.float64)
    u, p = rows.normal(2), rows.normal(2)
    step = torch.full((1, 2), 0.3, dtype=torch.float64)
    places = [u]
    at, grad, momentum = u, -u, p
    for _ in range(64):
        at, _, grad, momentum = leapfrog(NORMAL, at, grad, momentum, step)
        places.append(at)
    path = torch.stack(places)
    for leaf in (0.01, 0.5, 0.99):
        after, _ = roll(NUTS(0.3), u, p, leaf=leaf)  # always forwards
        nearest = (path - after.u).norm(dim=2).min(0).values
        assert float(nearest.max()) < 1e-12
        torch.testing.assert_close(after.value, NORMAL.value(after.u))
        torch.testing.assert_close(after.grad, -after.u)


@pytest.mark.parametrize("direction", [0.0, 0.9])
def test_directions(direction):
    """On a slope that never ends a trajectory runs with its momentum, or against it; always merged, and the last leaf
    picked, it ends 2^j - 1 leapfrogs away."""
    flat = Target(lambda u: 0.0 * u.sum(1), event=Event((1,)))
    u, p = torch.zeros(3, 1).double(), torch.tensor([[1.0], [2.0], [-1.0]]).double()
    kernel = NUTS(0.1, doublings=3)
    noise = {name: uniforms(v, 3, 3) for name, v in (("direction", direction), ("leaf", 0.0), ("merge", 0.0))}
    after, _ = kernel.step(flat, kernel.init(flat, u), {"momentum": p, **noise})
    sign = 1 if direction < 0.5 else -1
    torch.testing.assert_close(after.u, sign * 0.1 * 7 * p)


def test_leaves_of_a_half_are_drawn_in_proportion_to_their_density():
    """One uniform number picks among 2^j leaves: the share of a fine grid of numbers that picks each is its weight."""
    n, step = 20_000, 0.55
    target = Target(lambda u: -0.25 * u.pow(4).sum(1), event=Event((1,)))
    u, p = torch.full((n, 1), -1.5).double(), torch.full((n, 1), 0.4).double()
    kernel = NUTS(step, doublings=2)
    grid = torch.linspace(0, 1, n + 1)[:-1].double()
    noise = {
        "momentum": p,
        "direction": uniforms(0.0, n, 2),
        "leaf": torch.stack([grid, grid], 1),
        "merge": torch.tensor([1.0, 0.0]).double().expand(n, 2),  # keep the root, then take the new half
    }
    after, _ = kernel.step(target, kernel.init(target, u), noise)
    at, _, grad, momentum = leapfrog(target, u[:1], -(u[:1] ** 3), p[:1], torch.tensor([[step]]).double())
    weights, leaves = [], []
    for _ in range(2):  # leaves 2 and 3 make the half of size 2
        at, value, grad, momentum = leapfrog(target, at, grad, momentum, torch.tensor([[step]]).double())
        weights.append((value - kinetic(momentum)).exp())
        leaves.append(at)
    shares = torch.cat(weights) / sum(weights)
    assert abs(float(shares[0]) - 0.5) > 0.01  # they differ
    for leaf, share in zip(leaves, shares, strict=True):
        assert float(((after.u - leaf).abs() < 1e-6).double().mean()) == pytest.approx(float(share), abs=1e-3)


def test_a_uniform_number_is_used_up_to_the_last_leaf():
    """Eight leaves of nearly one weight: each eighth of the uniforms picks its own."""
    n = 8000
    target = Target(lambda u: -1e-6 * u.square().sum(1), event=Event((1,)))
    u, p = torch.zeros(n, 1).double(), torch.ones(n, 1).double()
    kernel = NUTS(0.01, doublings=4)
    grid = ((torch.arange(n) + 0.5) / n).double()
    merge = torch.tensor([1.0, 1.0, 1.0, 0.0]).double()
    noise = {"direction": uniforms(0.0, n, 4), "leaf": grid.unsqueeze(1).expand(n, 4), "merge": merge.expand(n, 4)}
    after, _ = kernel.step(target, kernel.init(target, u), {"momentum": p, **noise})
    counts = torch.bincount((after.u.squeeze(1) / 0.01).round().long())
    assert int((counts[8:] - 1000).abs().max()) <= 4 and counts[8:].sum() == n


def test_chains_that_are_done_drop_out_of_the_batch():
    """A chain that turns early is not asked for again, and does not change what the others do."""
    asked = []
    scale = torch.tensor([0.05, 1.0, 1.0, 5.0]).double()

    def narrow(width):
        def log_prob(u):
            asked.append(len(u))
            return -0.5 * (u / width.unsqueeze(1)).square().sum(1)

        return Target(log_prob, event=Event((2,)), part=lambda index: narrow(width[index]))

    rows = Rows(0, 4, dtype=torch.float64)
    u, p = rows.normal(2) * scale.unsqueeze(1), rows.normal(2)
    after, info = roll(NUTS(0.04), u, p, target=narrow(scale))
    assert asked[0] == 4 and asked[-1] == 1 and sorted(asked, reverse=True) == asked
    assert sum(asked[1:]) == pytest.approx(4 * info.gradients, rel=0.5)
    for k in range(4):
        alone, _ = roll(NUTS(0.04), u[k : k + 1], p[k : k + 1], target=narrow(scale[k : k + 1]))
        torch.testing.assert_close(alone.u, after.u[k : k + 1])


def test_divergences_are_seen_and_the_chain_survives():
    cliff = Target(lambda u: -0.5 * (u / 1e-3).square().sum(1), event=Event((1,)))
    u, p = torch.full((5, 1), 1e-3).double(), torch.ones(5, 1).double()
    after, info = roll(NUTS(0.5), u, p, target=cliff)
    assert bool(info.divergent.all()) and torch.equal(after.u, u) and float(info.acceptance.max()) < 1e-6


def test_points_of_no_density_are_never_picked():
    half = Target(lambda u: torch.where(u[:, 0] > 0, -u[:, 0], torch.nan), event=Event((1,)))
    rows = Rows(0, 500, dtype=torch.float64)
    run = Fixed(15, warmup=0).run(NUTS(0.3), half, rows.uniform(1) + 0.01, rows.spawn(1))
    assert bool((run.state.u > 0).all()) and run.divergences > 0


def test_a_step_that_refuses_everything_is_named():
    target = Target(lambda u: -1e12 * u.square().sum(1), event=Event((1,)))
    with pytest.raises(ChainError, match=r"no chain accepted any of its 20 moves .*step 20"):
        Fixed(20, warmup=0).run(NUTS(1.0), target, torch.full((3, 1), 1e-7).double(), Rows(0, 3, dtype=torch.float64))


def test_its_draws_on_a_gaussian():
    draws = draw(NORMAL, 4000, sampler=MCMC(NUTS(), Long(16, warmup=150)), generator=0)
    assert draws.divergences == 0 and bool((draws.rhat < 1.01).all()) and draws.samples.shape == (4000, 2)
    torch.testing.assert_close(draws.samples.T.cov(), torch.eye(2).double(), rtol=0.1, atol=0.06)
    assert 0.7 < draws.acceptance < 0.95 and draws.n_grad > 4000


@pytest.mark.parametrize("options", [{"step": 0.0}, {"doublings": 0}, {"doublings": 30}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        NUTS(**options)
