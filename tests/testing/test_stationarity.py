"""Exact kernels leave their target where it is, biased ones the law they are known to have, and mistakes are caught."""

import inspect
from copy import copy
from dataclasses import replace

import pytest
import torch

from fairway.core.numerics import event_sum
from fairway.core.random import Rows
from fairway.samplers import nuts
from fairway.samplers.hmc import HMC, kinetic, leapfrog
from fairway.samplers.kernel import Info, accept, probability
from fairway.samplers.langevin import Langevin
from fairway.samplers.metropolis import RandomWalk
from fairway.samplers.nuts import NUTS
from fairway.samplers.target import Target
from fairway.samplers.underdamped import Underdamped
from fairway.testing import Known, check_kernel, stationarity
from fairway.testing.stationarity import KNOWN, PLANE, correlated, functionals

CORRELATED, TWO_WIDTHS, GUMBEL = KNOWN
COVARIANCE = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
CAUGHT = 1e-10


def own_units(state, rows):
    """A scale per entry and a step size per chain, as a warm-up might leave them."""
    scale = state.u.new_tensor([[0.7, 1.5]])
    return replace(state, scale=scale, step=state.step * (0.5 + rows.uniform()))


def tilted_units(state, rows):
    """A matrix of units, and a step size per chain."""
    return replace(own_units(state, rows), scale=state.u.new_tensor([[0.8, 0.0], [0.5, 1.3]]))


def long_trajectories(state, rows):
    """The length that ChEES would have found."""
    return replace(state, length=state.u.new_tensor(1.3))


def smallest(kernel, known, **options):
    return min(stationarity(kernel, known, **options).values())


# ------------------------------------------------------------------------------------------- the three known targets


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_targets_are_normalised_and_drawn_from_exactly(known):
    u = known.sample(Rows(0, 50_000, dtype=torch.float64))
    wide = 1.5 * Rows(1, 200_000, dtype=torch.float64).normal(2) * u.std(0) + u.mean(0)
    log_q = -0.5 * ((wide - u.mean(0)) / u.std(0) / 1.5).square().sum(1) - (2 * torch.pi * 2.25 * u.std(0).prod()).log()
    weight = (known.target.value(wide) - log_q).exp()
    assert float(weight.mean()) == pytest.approx(1, abs=4 * float(weight.std()) / len(wide) ** 0.5)
    # Stein: E[score] = 0 and E[u . score] = -2 on exact draws
    score = known.target.value_and_grad(u)[1]
    for values, mean in ((score[:, 0], 0.0), (score[:, 1], 0.0), ((u * score).sum(1), -2.0)):
        assert abs(float(values.mean()) - mean) < 4.5 * float(values.std()) / len(u) ** 0.5


def test_the_functionals_of_a_point():
    seen = functionals(torch.tensor([[3.0, 4.0]]), lambda u: u.sum(1))
    assert {name: float(v) for name, v in seen.items()} == {
        "first": 3, "second": 4, "product": 12, "radius": 5, "log_prob": 7
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------ exact kernels


@pytest.mark.parametrize(
    ("kernel", "start", "chains"),
    [
        (RandomWalk(1.0), None, 50_000),
        (Langevin(0.5, metropolis=True), None, 50_000),
        (HMC(0.3, leapfrogs=4, jitter=0), None, 50_000),
        (HMC(0.3, leapfrogs=6), None, 20_000),
        (HMC(0.3, leapfrogs=6), own_units, 20_000),
        (HMC(0.3, leapfrogs=6), tilted_units, 20_000),
        (HMC(0.3), long_trajectories, 20_000),
    ],
    ids=["random walk", "mala", "hmc", "hmc jittered", "hmc in units", "hmc in tilted units", "hmc of chees"],
)
def test_exact_kernels_pass(kernel, start, chains):
    check_kernel(kernel, start=start, chains=chains)


def test_the_no_u_turn_sampler_passes():
    check_kernel(NUTS(0.6), chains=8000)


@pytest.mark.parametrize("start", [own_units, tilted_units])
def test_the_no_u_turn_sampler_passes_with_large_steps_in_units(start):
    check_kernel(NUTS(1.0), start=start, chains=3000)


@pytest.mark.slow
@pytest.mark.parametrize("start", [None, own_units, tilted_units], ids=["one unit", "own", "tilted"])
@pytest.mark.parametrize("doublings", [2, 10])
@pytest.mark.parametrize("step", [0.1, 0.3, 0.8, 1.2])
def test_the_no_u_turn_sampler_passes_with_more_chains(step, doublings, start):
    check_kernel(NUTS(step, doublings), start=start, chains=50_000)


# ----------------------------------------------------------------------------------------------------- biased kernels


def gaussian(covariance):
    """The correlated target with draws of another covariance."""
    root = torch.linalg.cholesky(covariance)
    return Known("gaussian", Target(correlated, event=PLANE), lambda rows: rows.normal(2) @ root.T)


def biased(step):
    """The law of unadjusted Langevin on a Gaussian of precision P: S = A S A + step I with A = I - step P / 2."""
    return COVARIANCE @ torch.linalg.inv(torch.eye(2).double() - step / 4 * COVARIANCE.inverse())


@pytest.mark.parametrize("step", [0.05, 0.4])
def test_unadjusted_langevin_keeps_its_own_law(step):
    check_kernel(Langevin(step), (gaussian(biased(step)),))


def test_unadjusted_langevin_does_not_keep_the_target():
    assert smallest(Langevin(0.4), CORRELATED) < CAUGHT
    with pytest.raises(AssertionError, match=r"Langevin moves two_widths: the .* changes, p = "):
        check_kernel(Langevin(1.0), (TWO_WIDTHS,), chains=5000)


def momenta(covariance):
    root = torch.linalg.cholesky(covariance)
    return lambda state, rows: replace(state, momentum=rows.normal(2) @ root.T)


@pytest.mark.parametrize("step", [0.1, 0.5])
def test_underdamped_langevin_keeps_positions_of_a_gaussian_and_its_own_momenta(step):
    """Positions N(0, S) for any stable dt; momenta N(0, I - dt^2 S^-1 / 4)."""
    own = torch.eye(2).double() - step**2 / 4 * COVARIANCE.inverse()
    check_kernel(Underdamped(step), (CORRELATED,), start=momenta(own))


def test_underdamped_langevin_does_not_keep_other_laws():
    assert smallest(Underdamped(1.0), TWO_WIDTHS, start=momenta(torch.eye(2).double())) < CAUGHT
    assert smallest(Underdamped(0.2), CORRELATED) < CAUGHT  # momenta at rest
    warm = gaussian(1.1 * COVARIANCE)
    assert smallest(Underdamped(0.5), warm, start=momenta(torch.eye(2).double())) < CAUGHT


# ---------------------------------------------------------------------------------------------------- planted mistakes


def hearing(kernel, change):
    """The kernel, with its noise changed before it hears it."""

    class Hearing(type(kernel)):
        def step(self, target, state, noise):
            return super().step(target, state, {**noise, **change(noise)})

    kernel.__class__ = Hearing
    return kernel


def phi(z):
    """A uniform number made of a normal one that was used already."""
    return torch.special.ndtr(z[:, 0])


class StaleLangevin(Langevin):
    """Keeps the gradient of where it was."""

    def step(self, target, state, noise):
        after, info = super().step(target, state, noise)
        return replace(after, grad=state.grad), info


class StaleHMC(HMC):
    """Keeps the gradient of where it was."""

    def step(self, target, state, noise):
        after, info = super().step(target, state, noise)
        return replace(after, grad=state.grad), info


class WithoutHastings(Langevin):
    """Takes the Langevin proposal for a symmetric one."""

    def step(self, target, state, noise):
        h = state.step.unsqueeze(1)
        u = state.u + h / 2 * state.grad + h.sqrt() * noise["move"]
        value, grad = target.value_and_grad(u)
        chance = probability(value - state.value)
        return accept(state, noise["accept"] < chance, u=u, value=value, grad=grad), Info(chance)


class FullLastKick(HMC):
    """Ends a trajectory with a whole kick instead of half of one."""

    def step(self, target, state, noise):
        p, h = noise["momentum"], state.step.unsqueeze(1)
        u, value, grad, end = leapfrog(target, state.u, state.grad, p, h, self.leapfrogs)
        chance = probability(value - state.value + kinetic(p) - kinetic(end + h / 2 * grad))
        return accept(state, noise["accept"] < chance, u=u, value=value, grad=grad), Info(chance)


class WithoutNewValue(RandomWalk):
    """Compares with the density of where it once was."""

    def step(self, target, state, noise):
        after, info = super().step(target, state, noise)
        return replace(after, value=state.value), info


MISTAKES = {
    "noise too loud": lambda: hearing(Langevin(0.5, metropolis=True), lambda n: {"move": 1.2 * n["move"]}),
    "momenta too warm": lambda: hearing(HMC(0.3, 4, 0), lambda n: {"momentum": 1.1 * n["momentum"]}),
    "no Hastings term": lambda: WithoutHastings(0.5, metropolis=True),
    "stale gradient": lambda: StaleLangevin(0.5, metropolis=True),
    "stale gradient of a trajectory": lambda: StaleHMC(0.3, 4, 0),
    "stale value": lambda: WithoutNewValue(1.0),
    "full last kick": lambda: FullLastKick(0.3, 4, 0),
    "no test": lambda: hearing(HMC(0.5, 4, 0), lambda n: {"accept": 0 * n["accept"]}),
    "uniform from the momentum": lambda: hearing(HMC(0.5, 4, 0), lambda n: {"accept": phi(n["momentum"])}),
    "uniform from the move": lambda: hearing(RandomWalk(1.0), lambda n: {"accept": phi(n["move"])}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_caught(mistake):
    assert smallest(MISTAKES[mistake](), CORRELATED, chains=20_000) < CAUGHT


def one_for_all(noise):
    return {name: noise["leaf"][:, :1].expand_as(noise["leaf"]) for name in ("leaf", "merge", "direction")}


TREES = {
    "always the new half": (NUTS(0.8), CORRELATED, lambda n: {"merge": 0 * n["merge"]}),
    "the old half has half its weight": (NUTS(0.8), CORRELATED, lambda n: {"merge": n["merge"] / 2}),
    "always the last leaf": (NUTS(1.0), CORRELATED, lambda n: {"leaf": 0 * n["leaf"]}),
    "one uniform for all": (NUTS(1.2), TWO_WIDTHS, one_for_all),
}


@pytest.mark.parametrize("mistake", TREES)
def test_broken_trees_are_caught(mistake):
    kernel, known, change = TREES[mistake]
    assert smallest(hearing(copy(kernel), change), known, chains=10_000) < CAUGHT


def test_a_turn_seen_from_one_end_alone_is_caught(monkeypatch):
    """The tree of another of its points would have been another tree."""
    monkeypatch.setattr(nuts, "turning", lambda rho, first, last: event_sum((rho - (first + last) / 2) * last) <= 0)
    assert smallest(NUTS(0.8), CORRELATED, chains=10_000) < CAUGHT


def test_missing_turns_inside_a_half_are_caught(monkeypatch):
    """Only the two ends of the whole trajectory are compared, so that other points would not have rolled so far."""
    ends = nuts.turning

    def of_whole_trajectories(rho, first, last):
        whole = inspect.currentframe().f_back.f_code.co_name == "double"
        return ends(rho, first, last) if whole else torch.zeros(len(rho), dtype=torch.bool)

    monkeypatch.setattr(nuts, "turning", of_whole_trajectories)
    assert smallest(NUTS(0.3, doublings=6), CORRELATED, chains=4000) < CAUGHT
