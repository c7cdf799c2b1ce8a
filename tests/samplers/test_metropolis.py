"""Random-walk Metropolis: the rule of acceptance, no gradient, the acceptance wanted."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers import draw
from fairway.samplers.driver import ChainError, Fixed
from fairway.samplers.mcmc import MCMC
from fairway.samplers.metropolis import RandomWalk
from fairway.samplers.target import Target


def laplace(u):
    """A corner where autograd has no gradient worth the name."""
    return -u.abs().sum(1)


def test_a_proposal_is_taken_by_the_ratio_of_densities():
    kernel, target = RandomWalk(0.7), Target(laplace)
    rows = Rows(0, 200, dtype=torch.float64)
    u, e, uniform = rows.normal(2), rows.normal(2), rows.uniform()
    after, info = kernel.step(target, kernel.init(target, u), {"move": e, "accept": uniform})
    chance = (laplace(u + 0.7 * e) - laplace(u)).exp().clamp(max=1)
    torch.testing.assert_close(info.acceptance, chance)
    torch.testing.assert_close(after.u, torch.where((uniform < chance).unsqueeze(1), u + 0.7 * e, u))
    torch.testing.assert_close(after.value, laplace(after.u))


def test_no_gradient_is_asked_for():
    def log_prob(u):
        assert not torch.is_grad_enabled() and not u.requires_grad
        calls.append(len(u))
        return laplace(u)

    calls = []
    draws = draw(log_prob, 12, 2, sampler=MCMC(RandomWalk(), Fixed(30, warmup=10)), generator=0)
    assert len(calls) == 41 and draws.n_grad == 12 * 41


def test_values_alone_are_enough():
    """A density that autograd cannot follow: uniform on a disc."""
    target = Target(lambda u: torch.where(u.norm(dim=1) < 1, 0.0, -torch.inf).double(), event=Event((2,)))
    run = Fixed(60, warmup=60).run(RandomWalk(), target, torch.zeros(4000, 2).double(), Rows(0, 4000).spawn(0))
    radius = run.state.u.norm(dim=1)
    assert float(radius.max()) < 1
    assert float((radius < 0.5).double().mean()) == pytest.approx(0.25, abs=0.03)


def test_warm_up_reaches_the_wanted_acceptance():
    u = 0.01 * Rows(3, 200, dtype=torch.float64).normal(5)
    target = Target(lambda u: -0.5 * (u / 0.01).square().sum(1), event=Event((5,)))
    run = Fixed(100, warmup=300).run(RandomWalk(), target, u, Rows(3, 200, dtype=torch.float64))
    assert float(run.acceptance.mean()) == pytest.approx(0.234, abs=0.06)
    assert float(run.state.step.median()) == pytest.approx(2.38 * 0.01 / 5**0.5, rel=0.4)


def test_a_step_that_refuses_everything_is_named():
    target = Target(lambda u: -1e16 * u.square().sum(1), event=Event((2,)))
    start = torch.full((3, 2), 1e-9, dtype=torch.float64)
    with pytest.raises(ChainError, match=r"no chain accepted any of its 25 moves .*step size 1 .*step 25"):
        Fixed(25, warmup=0).run(RandomWalk(1.0), target, start, Rows(0, 3, dtype=torch.float64))


def test_a_step_must_be_positive():
    with pytest.raises(ValueError, match="expected a positive step, got -1"):
        RandomWalk(-1.0)
