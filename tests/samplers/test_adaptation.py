"""What a warm-up learns - step sizes, units, lengths - and that it stops before draws are kept."""

import math
from itertools import pairwise

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers import draw
from fairway.samplers.adaptation import DualAveraging, Moments, windows
from fairway.samplers.diagnostics import ess_bulk
from fairway.samplers.driver import Book, Fixed, Long, advance, begin, warm_up
from fairway.samplers.hmc import HMC
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC
from fairway.samplers.metropolis import RandomWalk
from fairway.samplers.nuts import NUTS
from fairway.samplers.target import Target, function_target

SD = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
STRETCHED = function_target(lambda u: -0.5 * (u / SD).square().sum(1), 3)


def warmed(kernel, target, steps=150, chains=32, seed=0):
    rows = Rows(seed, chains, dtype=torch.float64)
    state = begin(kernel, target, target.starts(rows.spawn(0)))
    return warm_up(kernel, target, state, rows.spawn(1), steps)[0]


def units(scale):
    """The standard deviation that the scale takes each entry to have (a matrix is a Cholesky factor)."""
    return scale.norm(dim=1) if scale.shape[0] == scale.shape[1] else scale.squeeze(0)


# ---------------------------------------------------------------------------------------------------------- step sizes


def test_dual_averaging_finds_the_step_of_the_wanted_acceptance():
    """Acceptance exp(-step / c) with c per chain: the wanted 0.5 is at step = c log 2."""
    c = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    adaptation = DualAveraging(torch.full((3,), 0.3, dtype=torch.float64), 0.5)
    step = adaptation.step
    for _ in range(400):
        step = adaptation.update(torch.exp(-step / c))
    torch.testing.assert_close(adaptation.final(), c * math.log(2), rtol=0.15, atol=0)


def test_the_answer_of_dual_averaging_is_less_noisy_than_its_last_step():
    noise = torch.rand(400, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    adaptation = DualAveraging(torch.full((200,), 0.3, dtype=torch.float64), 0.5)
    step = adaptation.step
    for row in noise:
        step = adaptation.update((row < torch.exp(-step)).double())  # acceptances of 0 or 1
    final = adaptation.final()
    assert float(final.log().std()) < 0.5 * float(step.log().std())
    assert float(final.log().mean()) == pytest.approx(math.log(math.log(2)), abs=0.2)


def test_dual_averaging_without_a_move_keeps_the_step():
    assert torch.equal(DualAveraging(torch.tensor([0.3, 2.0]), 0.8).final(), torch.tensor([0.3, 2.0]))


@pytest.mark.parametrize(
    ("kernel", "tolerance"),
    [(RandomWalk(), 0.08), (Langevin(0.01, metropolis=True), 0.1), (HMC(), 0.12), (HMC(0.1, 5), 0.12), (NUTS(), 0.12)],
    ids=["random walk", "mala", "hmc", "hmc of 5", "nuts"],
)
def test_kept_moves_are_accepted_as_often_as_wanted(kernel, tolerance):
    """Also where the density is not a Gaussian: 0.6 N(-1, 1) + 0.4 N(2, 0.4^2), each entry."""

    def log_prob(u):
        narrow = math.log(0.4 / 0.4) - 0.5 * ((u - 2) / 0.4).square()
        return torch.logaddexp(math.log(0.6) - 0.5 * (u + 1).square(), narrow).sum(1)

    rows = Rows(0, 100, dtype=torch.float64)
    target = function_target(log_prob, 3)
    run = Fixed(60, warmup=200).run(kernel, target, target.starts(rows.spawn(0)), rows.spawn(1))
    assert float(run.acceptance.mean()) == pytest.approx(kernel.wanted_acceptance, abs=tolerance)


def test_a_chain_has_its_own_step_where_chains_are_apart():
    """Half of the chains on N(0, 1), half on N(0, 0.01^2)."""
    sd = torch.tensor([1.0, 0.01]).double().repeat_interleave(60)
    target = Target(lambda u: -0.5 * (u / sd.unsqueeze(1)).square().sum(1), event=Event((1,)))
    u = sd.unsqueeze(1) * Rows(0, 120, dtype=torch.float64).normal(1)
    state = warm_up(RandomWalk(), target, begin(RandomWalk(), target, u), Rows(1, 120, dtype=torch.float64), 200)[0]
    ratio = state.step[:60].median() / state.step[60:].median()
    assert float(ratio) == pytest.approx(100, rel=0.5)


# --------------------------------------------------------------------------------------------------------------- units


def test_moments_of_chains_and_time_without_the_states():
    u = 1e4 + 3 * Rows(0, 500, dtype=torch.float64).normal(2, 3)
    moments = Moments()
    for part in u.split([100, 7, 393]):
        moments.update(part)
    torch.testing.assert_close(moments.mean, u.mean(0))
    torch.testing.assert_close(moments.variance(), u.var(0))


@pytest.mark.parametrize("kernel", [HMC(), HMC(0.1, 5), NUTS()], ids=["hmc", "hmc of 5", "nuts"])
def test_units_are_the_standard_deviations(kernel):
    state = warmed(kernel, STRETCHED)
    assert bool(((units(state.scale) / SD - 1).abs() < 0.2).all())
    assert bool((state.step == state.step[0]).all())
    assert 0.3 < float(state.step[0]) < 2.0  # in those units


def test_units_of_a_correlated_gaussian_make_it_easier():
    precision = torch.linalg.inv(torch.tensor([[1.0, 0.999], [0.999, 1.0]]).double())
    target = function_target(lambda u: -0.5 * ((u @ precision) * u).sum(1), 2)
    draws = draw(target, 1600, sampler=MCMC(NUTS(), Long(16, warmup=200)), generator=0)
    assert bool((draws.rhat < 1.02).all())
    torch.testing.assert_close(draws.samples.T.cov(), precision.inverse(), rtol=0.15, atol=0.02)


def test_a_chain_that_starts_far_out_finds_its_way_in():
    far = torch.zeros(16, 3).double()
    far[5] = torch.tensor([300.0, -300.0, 300.0])
    target = function_target(lambda u: -0.5 * u.square().sum(1), 3)
    for kernel in (HMC(), NUTS()):
        run = Long(16, warmup=150).run(kernel, target, far, Rows(0, 16, dtype=torch.float64), n=320)
        assert float(run.draws.abs().max()) < 6
        assert float(run.draws.std()) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("steps", [0, 1, 5, 10, 20, 100, 500, 1000, 10_000])
def test_windows_double_and_leave_time_for_the_step(steps):
    ends = sorted(windows(steps))
    assert all(0 <= end < max(steps, 1) for end in ends)
    if steps >= 100:
        widths = [b - a for a, b in pairwise(ends)]
        assert len(ends) >= 3 and ends[0] <= 0.1 * steps and steps - ends[-1] == round(0.1 * steps)
        assert all(b >= 2 * a for a, b in pairwise(widths))
    if steps <= 10:
        assert not ends


@pytest.mark.parametrize("warmup", [0, 1, 2, 5, 11, 25])
@pytest.mark.parametrize("kernel", [HMC(), NUTS(), RandomWalk()], ids=["hmc", "nuts", "random walk"])
def test_warm_ups_of_any_length_leave_finite_tuning(kernel, warmup):
    state = warmed(kernel, STRETCHED, steps=warmup, chains=4)
    assert bool((state.step > 0).all()) and bool(torch.isfinite(state.step).all())
    assert bool(torch.isfinite(state.scale).all()) and bool((units(state.scale.reshape(1, -1)) >= 0).all())


# ------------------------------------------------------------------------------------------------------------- lengths


def test_chees_finds_about_a_quarter_of_a_turn_where_entries_are_independent():
    state = warmed(HMC(), function_target(lambda u: -0.5 * u.square().sum(1), 10), steps=200)
    assert 0.7 < float(state.length) / float(units(state.scale).mean()) < 4


def test_trajectories_that_chees_found_are_worth_their_gradients():
    """Per gradient, against one leapfrog a step (Langevin's), on 80 entries correlated like a walk."""
    n = 80
    precision = torch.linalg.inv(0.95 ** (torch.arange(n)[:, None] - torch.arange(n)).abs().double())

    def log_prob(u):
        return -0.5 * ((u @ precision) * u).sum(1)

    worth = []
    for leapfrogs, steps in ((None, 60), (1, 1500)):
        rows = Rows(0, 32, dtype=torch.float64)
        kernel, target = HMC(0.1, leapfrogs), function_target(log_prob, n)
        state, _ = warm_up(kernel, target, begin(kernel, target, target.starts(rows.spawn(0))), rows.spawn(1), 150)
        _, book = advance(kernel, target, state, rows.spawn(2), steps, Book(steps, keep=1))
        worth.append(float(ess_bulk(torch.stack(book.kept)).min()) / book.gradients)
    assert worth[0] > 3 * worth[1]


# -------------------------------------------------------------------------------------------------------------- frozen


@pytest.mark.parametrize("base", [HMC, NUTS, RandomWalk])
def test_nothing_changes_once_draws_are_kept(base):
    seen = []

    class Watched(base):
        def step(self, target, state, noise):
            seen.append((state.step, state.scale, getattr(state, "length", torch.zeros(()))))
            return super().step(target, state, noise)

    draws = draw(STRETCHED, 320, sampler=MCMC(Watched(), Long(8, warmup=50)), generator=0)
    kept = seen[50:]
    assert len(seen) == 90
    for k in range(3):
        assert all(torch.equal(tuning[k], kept[0][k]) for tuning in kept)
    assert torch.equal(draws.info["step"], kept[0][0])
    assert any(not torch.equal(tuning[0], kept[0][0]) for tuning in seen[:50])
