"""Drivers: what they draw, count and refuse. Noise ahead is noise step by step; errors name the chain and the step."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers import driver as module
from fairway.samplers.driver import Book, ChainError, Fixed, Long, advance, begin, noises
from fairway.samplers.hmc import HMC
from fairway.samplers.kernel import Info, start_state
from fairway.samplers.langevin import Langevin
from fairway.samplers.metropolis import RandomWalk
from fairway.samplers.nuts import NUTS
from fairway.samplers.target import Target, function_target

NORMAL = function_target(lambda u: -0.5 * u.square().sum(1), 2)


def rows(n=6, seed=0, start=0):
    return Rows(seed, n, start, torch.float64)


def starts(n=6):
    return rows(n).normal(2)


# --------------------------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("kernel", [RandomWalk(), Langevin(0.1, metropolis=True), HMC(), NUTS()])
def test_noise_drawn_ahead_is_the_noise_drawn_step_by_step(kernel, monkeypatch):
    ahead = list(noises(kernel, NORMAL, rows(70), 9))
    monkeypatch.setattr(module, "AHEAD", 1)
    single = list(noises(kernel, NORMAL, rows(70), 9))
    assert len(ahead) == len(single) == 9
    for a, b in zip(ahead, single, strict=True):
        assert a.keys() == b.keys() == kernel.noise(NORMAL).keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_each_chain_and_each_source_has_noise_of_its_own():
    whole = next(noises(NUTS(), NORMAL, rows(200), 1))
    part = next(noises(NUTS(), NORMAL, rows(50, start=90), 1))
    assert all(torch.equal(whole[name][90:140], part[name]) for name in whole)
    assert float((whole["leaf"] - whole["merge"]).abs().min()) > 0
    table = torch.stack([whole[name].flatten() for name in ("direction", "leaf", "merge")])
    assert float((torch.corrcoef(table) - torch.eye(3)).abs().max()) < 0.12


def test_common_noise_is_one_number_for_all_chains():
    noise = next(noises(HMC(), NORMAL, rows(200), 1))
    again = next(noises(HMC(), NORMAL, rows(30, start=70), 1))
    assert noise["length"].shape == () and torch.equal(noise["length"], again["length"])


# --------------------------------------------------------------------------------------------------------------- books


def test_a_book_counts_moves_and_keeps_what_it_is_asked_to():
    state = start_state(HMC(), NORMAL, starts(4))
    book = Book(70, keep=3)
    for k in range(70):
        accepted = torch.tensor([1.0, 0.0, 0.5, float(k % 2)])
        book.record(state, Info(accepted, divergent=accepted == 0, gradients=2.0))
    book.close_block()
    assert book.acceptance.tolist() == [1.0, 0.0, 0.5, 0.5] and book.divergences == 70 + 35
    assert book.gradients == 140 and len(book.kept) == 23


def test_statistics_of_a_run_are_those_of_its_trace():
    run = Fixed(100, warmup=0).run(Langevin(1.0, metropolis=True), NORMAL, starts(50), rows(50), trace=True)
    assert run.trace.shape == (100, 50, 2) and torch.equal(run.trace[-1], run.state.u)
    assert 0.9 < float(run.statistics.split_rhat.max()) < 1.1


def test_short_runs_say_nothing_of_themselves():
    assert Fixed(19, warmup=0).run(RandomWalk(), NORMAL, starts(), rows()).statistics is None
    assert Fixed(20, warmup=0).run(RandomWalk(), NORMAL, starts(), rows()).statistics is not None


# ------------------------------------------------------------------------------------------------------- fixed and long


def test_a_fixed_run_repeats_itself_however_it_is_cut():
    kernel = Langevin(0.3, metropolis=True)
    state = begin(kernel, NORMAL, starts())
    whole, _ = advance(kernel, NORMAL, state, rows(), 8)
    by_hand = state
    for noise in noises(kernel, NORMAL, rows(), 8):
        by_hand, _ = kernel.step(NORMAL, by_hand, noise)
    assert torch.equal(whole.u, by_hand.u)


def test_step_sizes_may_be_given():
    run = Fixed(3, warmup=0).run(RandomWalk(), NORMAL, starts(), rows(), step=torch.tensor(1e-9))
    torch.testing.assert_close(run.state.u, starts(), rtol=0, atol=1e-7)
    each = torch.tensor([1e-9, 1.0]).double().repeat(3)
    run = Fixed(3, warmup=0).run(RandomWalk(), NORMAL, starts(), rows(), step=each)
    assert torch.equal(run.state.step, each)


def test_long_chains_make_many_draws_each_in_the_order_draw_by_draw():
    run = Long(4, warmup=10, thin=3).run(RandomWalk(), NORMAL, starts(4), rows(4), n=22)
    assert run.samples.shape == (22, 2) and run.trace.shape == (6, 4, 2)
    torch.testing.assert_close(run.samples[4:8], run.trace[1])
    assert run.gradients == 1 + 10 + 18
    dense = Long(4, warmup=10).run(RandomWalk(), NORMAL, starts(4), rows(4), n=4 * 18)
    torch.testing.assert_close(dense.trace[2::3], run.trace)
    assert Long(16).chains(5) == 5 and Long(16).chains(500) == 16


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("driver", [Fixed(5), Long(6, warmup=5)])
@pytest.mark.parametrize("value", [float("nan"), -float("inf"), float("inf")])
def test_a_chain_that_cannot_start_is_named(driver, value):
    target = function_target(lambda u: torch.where(u[:, 0] > 5, value, 0.0) + u.sum(1) * 0, 2)
    u = torch.zeros(6, 2).double()
    u[3:5] = 9.0
    with pytest.raises(ChainError, match=rf"start \(step 0\) of chain 3 is {value}: .* 2 of 6 chains start like this"):
        driver.run(RandomWalk(), target, u, rows())


def test_a_gradient_that_is_not_finite_at_the_start_is_named():
    target = Target(None, score=lambda u: torch.where(u > 3, torch.nan, -u), event=Event((2,)))
    u = torch.zeros(6, 2).double()
    u[2, 1] = 4.0
    with pytest.raises(ChainError, match=r"gradient at the start \(step 0\) of chain 2 is not finite"):
        Fixed(5).run(Langevin(), target, u, rows())


@pytest.mark.parametrize("wrong_at", [2, 7, 40])
def test_a_chain_that_leaves_the_numbers_is_named_with_its_step(wrong_at):
    """A clock is the first entry: at a given time the gradient of one chain is not a number."""

    def score(u):
        late = (u[:, 0] > wrong_at - 1.5) & (u[:, 1] > 0)
        return torch.stack([torch.full_like(u[:, 0], 2e8), torch.where(late, torch.nan, 0.0)], 1)

    u = torch.tensor([[0.0, -10.0]] * 6).double()
    u[4, 1] = 10.0
    with pytest.raises(ChainError, match=rf"chain 4 is no longer a number at step {wrong_at}: expected finite"):
        Fixed(60, warmup=0).run(Langevin(1e-8), Target(None, score=score, event=Event((2,))), u, rows())


@pytest.mark.parametrize("driver", [Fixed(25, warmup=0), Long(6, warmup=0)])
def test_a_step_that_refuses_everything_names_a_chain_and_the_step(driver):
    target = function_target(lambda u: -1e12 * u.square().sum(1), 2)
    with pytest.raises(ChainError, match=r"no chain accepted any of its 25 moves \(chain 0 .* step size 0.5 .*step 25"):
        driver.run(RandomWalk(), target, 1e-8 * starts(), rows(), n=150)


def test_one_chain_that_moves_is_enough():
    """Half of the chains cannot move; the rest can, and the account says so."""
    u = torch.cat([torch.zeros(3, 2), torch.full((3, 2), 100.0)]).double()
    target = function_target(
        lambda u: torch.where(u[:, 0] > 50, -0.5 * (u - 100).square().sum(1), -1e9 * u.norm(dim=1)), 2
    )
    run = Fixed(30, warmup=0).run(RandomWalk(), target, u, rows())
    assert run.acceptance[:3].tolist() == [0, 0, 0] and float(run.acceptance[3:].min()) > 0.2


@pytest.mark.parametrize("build", [lambda: Fixed(0), lambda: Fixed(5, -1), lambda: Long(0), lambda: Long(thin=0)])
def test_wrong_lengths_are_refused(build):
    with pytest.raises(ValueError, match=r"expected (steps|chains) >= 1"):
        build()
