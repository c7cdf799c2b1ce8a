"""The pilot run: temperatures at equal lengths, a step size at each, and trouble said aloud."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers.driver import ChainError
from fairway.samplers.hmc import HMC
from fairway.samplers.langevin import Langevin
from fairway.samplers.metropolis import RandomWalk
from fairway.samplers.nuts import NUTS
from fairway.samplers.pilot import farther, pilot
from fairway.samplers.resampling import share
from fairway.samplers.target import Reference, Target, Tempered

NARROW = Tempered(Target(lambda u: -50 * u.square().sum(1), event=Event((3,))), Reference())


def rows(n=256):
    return Rows(0, n, dtype=torch.float64)


@pytest.mark.parametrize("kernel", [Langevin(metropolis=True), HMC(), NUTS(), RandomWalk()])
def test_each_temperature_has_the_acceptance_that_the_kernel_wants(kernel):
    ladder = pilot(kernel, NARROW, rows(), warmup=40)
    for k in (0, len(ladder) - 1):
        precision = 1 + float(ladder.betas[k]) * 99
        u = rows().spawn(k + 5).normal(3) / precision**0.5
        places = ladder.coordinates(k)
        here = places.target(NARROW.at(float(ladder.betas[k])))
        state, seen = ladder.begin(kernel, here, u, k), []
        for t in range(5):
            noise = {name: _drawn(rows().spawn(k, t, i), *what) for i, (name, what) in enumerate(_sources(kernel))}
            state, info = kernel.step(here, state, noise)
            seen.append(float(info.acceptance.mean()))
        assert sum(seen) / 5 == pytest.approx(kernel.wanted_acceptance, abs=0.15)


def _sources(kernel):
    return kernel.noise(NARROW.target).items()


def _drawn(stream, law, shape):
    return torch.tensor(0.5) if law == "common" else getattr(stream, law)(*shape)


def test_stops_are_worth_the_share_that_was_asked():
    f = -49.5 * rows(4000).normal(3).square().sum(1)
    beta = farther(f, 0.0, 0.5)
    assert float(share(beta * f)) == pytest.approx(0.5, abs=0.001)
    assert farther(torch.zeros(100), 0.3) == 1.0
    assert farther(torch.zeros(3), 0.0) < 0.001


def test_temperatures_can_be_refined_and_given():
    ladder = pilot(Langevin(metropolis=True), NARROW, rows(64))
    fine = ladder.spread(50)
    assert len(fine) == 50 and float(fine.betas[0]) == 0 and float(fine.betas[-1]) == 1
    assert bool((fine.betas.diff() > 0).all())
    torch.testing.assert_close(ladder.spread(len(ladder)).betas, ladder.betas)
    own = ladder.on((0.0, 0.01, 1.0))
    assert own.betas.tolist() == [0.0, 0.01, 1.0]
    torch.testing.assert_close(own.steps[[0, 2]], ladder.steps[[0, -1]])
    place = int((ladder.betas < 0.01).sum())
    assert ladder.betas[place - 1] < 0.01 <= ladder.betas[place]
    low, high = sorted((float(ladder.factors[place - 1].diagonal()[0]), float(ladder.factors[place].diagonal()[0])))
    assert low <= float(own.factors[1].diagonal()[0]) <= high


def test_an_unadjusted_kernel_keeps_its_step_and_its_units():
    ladder = pilot(Langevin(0.003), NARROW, rows(64))
    torch.testing.assert_close(ladder.steps, torch.full_like(ladder.steps, 0.003))
    assert bool((ladder.factors == 1).all()) and bool((ladder.means == 0).all())


def test_chains_outside_the_support_go_on_from_others():
    half = Target(lambda u: torch.where(u[:, 0] > 0, -u.square().sum(1), -math.inf), event=Event((1,)))
    ladder = pilot(Langevin(metropolis=True), Tempered(half), rows(64))
    assert bool(torch.isfinite(ladder.steps).all()) and len(ladder) < 20
    nowhere = Target(lambda u: u[:, 0] * math.nan, event=Event((1,)))
    with pytest.raises(ChainError, match="step 0"):
        pilot(Langevin(metropolis=True), Tempered(nowhere), rows(64))


def test_a_step_that_leaves_the_numbers_names_the_chain():
    with pytest.raises(ChainError, match="chain"):
        pilot(Langevin(1e6), Tempered(Target(lambda u: -u.pow(4).sum(1), event=Event((1,)))), rows(64))


@pytest.mark.parametrize(
    "target", [Target(None, lambda u: -u, event=Event((1,))), Target(lambda u: u.sum(1), event=Event((2,), "binary"))]
)
def test_a_path_needs_values_on_real_numbers(target):
    with pytest.raises(ValueError, match="path of densities"):
        pilot(Langevin(), Tempered(target), rows(4))


def test_what_is_found_does_not_depend_on_the_number_of_rows():
    few, many = (pilot(Langevin(metropolis=True), NARROW, rows(n), warmup=5) for n in (1, 700))
    assert torch.equal(few.betas, many.betas) and torch.equal(few.factors, many.factors)
    assert few.gradients == pytest.approx(700 * many.gradients)


def test_rows_with_targets_of_their_own_are_piloted_by_their_own_chains():
    def own(centres):
        return Target(
            lambda u: -2 * (u - centres).square().sum(1), event=Event((1,)), part=lambda index: own(centres[index])
        )

    for count in (3, 900):
        ladder = pilot(Langevin(metropolis=True), Tempered(own(torch.zeros(count, 1).double())), rows(count), warmup=5)
        assert float(ladder.betas[-1]) == 1


def test_log_z_on_the_way_is_roughly_right():
    ladder = pilot(HMC(), NARROW, rows())
    exact = -1.5 * (1 + 99 * ladder.betas).log() + 1.5 * ladder.betas * math.log(2 * math.pi)
    assert float((ladder.log_Z - exact).abs().max()) < 0.5
