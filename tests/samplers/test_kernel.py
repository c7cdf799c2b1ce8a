"""What every kernel promises: it is pure, its noise is an argument, one chain does not see another, and it passes
Geweke's test of the joint distribution (2004), which the mistakes do not."""

import inspect
import math
from dataclasses import fields, replace

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.core.sampler import as_sampler
from fairway.samplers.driver import noises
from fairway.samplers.hmc import HMC
from fairway.samplers.kernel import accept, probability, shape_of, start_state
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC
from fairway.samplers.metropolis import RandomWalk
from fairway.samplers.nuts import NUTS
from fairway.samplers.target import Target
from fairway.samplers.underdamped import Underdamped
from fairway.testing.statistics import mean_p, smirnov_p

KERNELS = {
    "random walk": RandomWalk(0.8),
    "langevin": Langevin(0.3),
    "mala": Langevin(0.5, metropolis=True),
    "underdamped": Underdamped(0.3),
    "hmc": HMC(0.3, 4, jitter=0),
    "hmc jittered": HMC(0.3, 4),
    "nuts": NUTS(0.4, doublings=4),
}
EXACT = ["random walk", "mala", "hmc", "hmc jittered", "nuts"]
ROLL = Target(lambda u: -0.5 * u.square().flatten(1).sum(1) - 0.1 * u.flatten(1)[:, 0].pow(4), event=Event((3,)))


def one_step(kernel, target=ROLL, n=40, seed=0):
    """A state, the noise of one step, and what came of them."""
    rows = Rows(seed, n, dtype=torch.float64)
    state = kernel.init(target, rows.normal(*shape_of(target.event)))
    noise = next(noises(kernel, target, rows.spawn(1), 1))
    return state, noise, kernel.step(target, state, noise)


def tensors(state):
    return {f.name: getattr(state, f.name).clone() for f in fields(state)}


@pytest.mark.parametrize("name", KERNELS)
def test_a_step_is_a_pure_function(name):
    kernel = KERNELS[name]
    state, noise, (after, info) = one_step(kernel)
    before, heard, globally = tensors(state), {k: v.clone() for k, v in noise.items()}, torch.get_rng_state()
    again, _ = kernel.step(ROLL, state, noise)
    assert all(torch.equal(v, tensors(state)[k]) for k, v in before.items())
    assert all(torch.equal(v, noise[k]) for k, v in heard.items())
    assert all(torch.equal(v, tensors(again)[k]) for k, v in tensors(after).items())
    assert torch.equal(torch.get_rng_state(), globally)
    assert bool(((info.acceptance >= 0) & (info.acceptance <= 1)).all())


@pytest.mark.parametrize("name", KERNELS)
def test_the_state_carries_the_value_and_the_gradient_of_where_it_stands(name):
    _, _, (after, _) = one_step(KERNELS[name])
    value, grad = ROLL.value_and_grad(after.u)
    torch.testing.assert_close(after.value, value)
    if name != "random walk":
        torch.testing.assert_close(after.grad, grad)
    assert after.u.shape == (40, 3) and not any(t.requires_grad for t in tensors(after).values())


@pytest.mark.parametrize("name", KERNELS)
def test_a_chain_does_not_see_the_others(name):
    kernel = KERNELS[name]
    state, noise, (after, _) = one_step(kernel)
    some = torch.tensor([31, 4, 15])

    def rows(value):
        return value[some] if value.ndim and len(value) == 40 else value

    part = replace(state, **{k: rows(v) for k, v in tensors(state).items()})
    alone, _ = kernel.step(ROLL, part, {k: rows(v) for k, v in noise.items()})
    torch.testing.assert_close(alone.u, after.u[some])


@pytest.mark.parametrize("shape", [(), (2, 3)], ids=["numbers", "arrays"])
@pytest.mark.parametrize("name", KERNELS)
def test_events_of_any_shape(name, shape):
    target = replace(ROLL, log_prob=lambda u: -0.5 * u.square().reshape(len(u), -1).sum(1), event=Event(shape))
    _, _, (after, info) = one_step(KERNELS[name], target)
    assert after.u.shape == after.grad.shape == (40, *shape) and info.acceptance.shape == (40,)


@pytest.mark.parametrize("name", KERNELS)
def test_single_precision_stays_single(name):
    rows = Rows(0, 16)
    target = replace(ROLL, dtype=torch.float32)
    kernel = KERNELS[name]
    noise = next(noises(kernel, target, rows.spawn(0), 1))
    after, _ = kernel.step(target, kernel.init(target, rows.normal(3)), noise)
    assert after.u.dtype == after.value.dtype == after.step.dtype == torch.float32


@pytest.mark.parametrize("kernel", [RandomWalk, Langevin, Underdamped, HMC, NUTS])
def test_kernels_need_no_argument_and_are_wrapped(kernel):
    assert all(p.default is not inspect.Parameter.empty for p in inspect.signature(kernel).parameters.values())
    sampler = as_sampler(kernel())
    assert isinstance(sampler, MCMC) and sampler.requires == kernel().requires
    assert sampler.coupled == (kernel in (HMC, NUTS))


# --------------------------------------------------------------------------------------------------- Geweke's test


def likelihood(theta, y):
    """Three observations N(m, e^(2 s)) given theta = (m, s): log density (B,)."""
    mean, log_std = theta.unsqueeze(1).unbind(2)
    return (-0.5 * ((y - mean) / log_std.exp()).square() - log_std).sum(1)


def observe(theta, rows):
    return theta[:, :1] + theta[:, 1:].exp() * rows.normal(3)


def prior(rows):
    """m ~ N(0, 1), s ~ N(0, 0.5^2)."""
    return rows.normal(2) * torch.tensor([1.0, 0.5], dtype=torch.float64)


def given(y):
    def log_prob(theta):
        return -0.5 * theta[:, 0].square() - 2 * theta[:, 1].square() + likelihood(theta, y)

    return Target(log_prob, event=Event((2,)), part=lambda index: given(y[index]))


def geweke(kernel, chains=4000, rounds=25, seed=0):
    """Smallest p-value that theta and y, redrawn in turn (successive-conditional), stay where the model draws them
    (marginal-conditional): each round one step of the kernel for theta given y, then y afresh given theta."""
    rows = Rows(seed, chains, dtype=torch.float64)
    theta = prior(rows.spawn(0))
    y = observe(theta, rows.spawn(1))
    for k in range(rounds):
        target = given(y)
        noise = next(noises(kernel, target, rows.spawn(2, k), 1))
        theta = kernel.step(target, kernel.init(target, theta), noise)[0].u
        y = observe(theta, rows.spawn(3, k))
    fresh = prior(rows.spawn(4))
    other = observe(fresh, rows.spawn(5))
    compared = [(theta[:, 0], fresh[:, 0]), (theta[:, 1], fresh[:, 1]), (y.std(1), other.std(1))]
    moments = [(theta[:, 0], 0.0), (theta[:, 0].square(), 1.0), (theta[:, 1], 0.0), (theta[:, 1].square(), 0.25)]
    return min([smirnov_p(a, b) for a, b in compared] + [mean_p(v, m) for v, m in moments])


@pytest.mark.parametrize("name", EXACT)
def test_gewekes_test_passes(name):
    assert geweke(KERNELS[name]) > 1e-4


class Louder(Langevin):
    def step(self, target, state, noise):
        return super().step(target, state, noise | {"move": 1.2 * noise["move"]})


class Certain(HMC):
    def step(self, target, state, noise):
        return super().step(target, state, noise | {"accept": 0 * noise["accept"]})


class Greedy(NUTS):
    def step(self, target, state, noise):
        return super().step(target, state, noise | {"merge": 0 * noise["merge"]})


@pytest.mark.parametrize(
    "kernel", [Louder(0.5, metropolis=True), Certain(0.4, 4, 0), Greedy(0.8, 4)], ids=["noise", "no test", "tree"]
)
def test_gewekes_test_fails_wrong_kernels(kernel):
    assert geweke(kernel) < 1e-10


# -------------------------------------------------------------------------------------------------------------- parts


def test_probabilities_of_any_log_ratio():
    ratio = torch.tensor([0.5, 0.0, -math.log(2), -math.inf, math.inf, math.nan])
    torch.testing.assert_close(probability(ratio), torch.tensor([1.0, 1.0, 0.5, 0.0, 1.0, 0.0]))


def test_accept_moves_some_chains_and_leaves_the_rest():
    state = start_state(HMC(0.2), ROLL, torch.zeros(3, 3).double())
    new = accept(state, torch.tensor([True, False, True]), u=torch.ones(3, 3).double(), value=torch.ones(3).double())
    assert new.u[:, 0].tolist() == [1, 0, 1] and new.value.tolist() == [1, 0, 1]
    assert new.grad is state.grad and state.u.eq(0).all() and state.step.tolist() == [0.2] * 3


def test_shapes():
    assert shape_of(Event((4, None))) == (4, 1) and shape_of(Event(())) == ()
