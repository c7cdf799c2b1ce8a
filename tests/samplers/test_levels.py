"""Rounds of chains at temperatures of their own leave the law of place and temperature where it is."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers.driver import noises
from fairway.samplers.hmc import HMC
from fairway.samplers.langevin import Langevin
from fairway.samplers.levels import Levels, Own
from fairway.samplers.metropolis import RandomWalk
from fairway.samplers.nuts import NUTS
from fairway.samplers.pilot import pilot
from fairway.samplers.target import Reference, Target, Tempered
from fairway.testing.statistics import ALARM, smirnov_p


def two(u):
    """0.75 N(-3, 0.4^2) + 0.25 N(3, 0.8^2), times e^2 / sqrt(2 pi): log Z = 2."""
    left = math.log(0.75 / 0.4) - 0.5 * ((u[:, 0] + 3) / 0.4).square()
    right = math.log(0.25 / 0.8) - 0.5 * ((u[:, 0] - 3) / 0.8).square()
    return 2 - 0.5 * math.log(2 * math.pi) + torch.logaddexp(left, right)


PATH = Tempered(Target(two, event=Event((1,))), Reference(std=2.0))
GRID = torch.linspace(-14, 14, 20_001, dtype=torch.float64).unsqueeze(1)


def density(beta):
    """pi_beta on the grid, summing to one, and log Z_beta."""
    value = PATH.at(beta).value(GRID)
    return value.softmax(0), float(value.logsumexp(0) + math.log(28 / 20_000))


def exact(betas, zeta, n, seed):
    """Draws of the place under p(u, k), with k."""
    log_Z = torch.tensor([density(b)[1] for b in betas])
    g = torch.Generator().manual_seed(seed)
    k = torch.multinomial((log_Z - zeta).softmax(0), n, replacement=True, generator=g)
    u = torch.empty(n, 1, dtype=torch.float64)
    for level, beta in enumerate(betas):
        rows = (k == level).nonzero().squeeze(1)
        jitter = (torch.rand(len(rows), 1, generator=g, dtype=torch.float64) - 0.5) * 28 / 20_000
        u[rows] = GRID[torch.multinomial(density(beta)[0], len(rows), replacement=True, generator=g)] + jitter
    return u, k


@pytest.mark.parametrize("kernel", [Langevin(metropolis=True), HMC(), RandomWalk(), NUTS()])
def test_rounds_leave_place_and_temperature_where_they_are(kernel):
    n, zeta = 20_000, torch.tensor([0.0, 0.7, -0.4, 1.8], dtype=torch.float64)  # any zeta will do
    ladder = pilot(kernel, PATH, Rows(3, 256, dtype=torch.float64)).on((0.0, 0.1, 0.4, 1.0))
    rows = Rows(0, n, dtype=torch.float64)
    levels = Levels(kernel, PATH, ladder, 2, noises(kernel, PATH.target, rows, 10**9), rows.spawn(1))
    u, k = exact(ladder.betas.tolist(), zeta, n, 1)
    for _ in range(4):
        u, k = levels.round(u, zeta)
    fresh, there = exact(ladder.betas.tolist(), zeta, n, 2)
    assert smirnov_p(u[:, 0], fresh[:, 0]) > ALARM
    assert smirnov_p(u[k == 3][:, 0], fresh[there == 3][:, 0]) > ALARM
    counts = torch.stack([torch.bincount(a, minlength=4) for a in (k, there)]).double()
    chi2 = float(((counts[0] - counts[1]).square() / counts.sum(0)).sum())
    assert chi2 < 21.1  # 3 degrees of freedom, 1e-4


@pytest.mark.parametrize("full", [True, False])
def test_coordinates_of_each_chain_go_both_ways_and_turn_the_gradient(full):
    g = torch.Generator().manual_seed(0)
    factor = torch.randn(5, 3, 3, generator=g, dtype=torch.float64).tril() + 3 * torch.eye(3, dtype=torch.float64)
    own = Own(torch.randn(5, 3, generator=g, dtype=torch.float64), factor if full else factor.diagonal(dim1=1, dim2=2))
    u = torch.randn(5, 3, generator=g, dtype=torch.float64)
    v = own.to_round(u)
    torch.testing.assert_close(own.from_round(v), u)
    target = own.target(Target(lambda u: -u.pow(4).sum(1), event=Event((3,))))
    point = v.clone().requires_grad_()
    value = -own.from_round(point).pow(4).sum(1)
    value.sum().backward()
    found = target.value_and_grad(v)
    torch.testing.assert_close(found[0], value.detach())
    torch.testing.assert_close(found[1], point.grad)
    torch.testing.assert_close(target.value(v), value.detach())
    some = torch.tensor([3, 1])
    torch.testing.assert_close(target.chains(some).value_and_grad(v[some])[1], point.grad[some])
