"""Chains from the reference anew at every step: where they start, how far they get, and that nothing is kept."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.energy.energy import EBM
from fairway.objectives.mle_mcmc import MLEByMCMC
from fairway.samplers.langevin import Langevin
from fairway.training.fit import fit

N = 20_000


class Watched(MLEByMCMC):
    """Keeps the ends of its chains."""

    def _moved(self, *args):
        run = super()._moved(*args)
        self.ends = run.state.u
        return run


def step(objective, model, u, seed=0):
    objective.setup(model)
    return objective.loss(Batch(u), model, phase=Phase(), generator=Rows(seed, len(u)))


@pytest.mark.parametrize("k", [1, 5, 60])
def test_the_gradient_is_that_of_chains_which_came_so_far(k, tilted):
    """From N(0, 1), k Langevin moves of size h reach the mean slope (1 - (1 - h / 2)^k), wherever the data are."""
    model, h, mean = tilted(0.5), 0.2, 0.4
    objective = Watched(steps=k, penalty=0.0, jumps=0, kernel=Langevin(h))
    u = Rows(1, N).normal(1) + mean
    reached = 0.5 * (1 - (1 - h / 2) ** k)
    total = step(objective, model, u).total
    assert float(objective.ends.mean()) == pytest.approx(reached, abs=5 / N**0.5)
    (gradient,) = torch.autograd.grad(total, model.network.weight)
    assert float(gradient) == pytest.approx(reached - mean, abs=0.02 + 5 * 2**0.5 / N**0.5)  # an arctan of a small gap


def test_jumps_shorten_the_way(tilted):
    """N(1, 1) is far for a single move; 40 draws of N(0, 1) offered to each chain take it there."""
    model, u = tilted(1.0), torch.zeros(4000, 1)
    means = []
    for jumps in (0, 40):
        objective = Watched(steps=1, jumps=jumps, kernel=Langevin(1e-4))
        step(objective, model, u)
        means.append(float(objective.ends.mean()))
    assert abs(means[0]) < 0.1 and means[1] == pytest.approx(1.0, abs=0.12)


def test_chains_are_fresh_at_every_step_and_none_is_kept():
    with seeded(0):
        model = EBM(Event((2,)), hidden=(8,))
    objective, ends = Watched(steps=1, jumps=0, kernel=Langevin(1e-10)), []
    for seed in (0, 1, 0):
        step(objective, model, torch.full((100, 2), 9.0), seed)
        ends.append(objective.ends)
    assert torch.equal(ends[0], ends[2]) and not torch.equal(ends[0], ends[1])
    assert float((ends[0] * ends[1]).mean().abs()) < 0.3 and float(ends[0].std()) == pytest.approx(1, abs=0.15)
    assert model.chains.shape == (0, 2) and set(dict(objective.named_buffers())) == {"step_size"}


def test_chains_start_at_the_model_s_own_reference():
    with seeded(0):
        model = EBM(Event((2,)), hidden=(8,), reference="gmm")
    model.reference.set_components(
        torch.full((10,), 0.1), torch.full((10, 2), 7.0), 0.01 * torch.eye(2).expand(10, 2, 2)
    )
    objective = Watched(steps=1, jumps=0, kernel=Langevin(1e-10))
    step(objective, model, torch.zeros(500, 2))
    assert float(objective.ends.mean()) == pytest.approx(7, abs=0.05)
    assert float(objective.ends.std()) == pytest.approx(0.1, abs=0.02)


def test_it_learns_two_humps_and_draws_by_as_many_moves():
    side = (Rows(1, 1500).uniform() < 0.7).float() * 2 - 1
    x = torch.stack([side + 0.3 * Rows(2, 1500).normal(), 0.5 * Rows(3, 1500).normal()], 1)
    options = {"hidden": (32, 32), "chain_steps": 60, "objective.steps": 10, "steps": 150, "lr": 3e-3, "seed": 0}
    model = fit("ebm", x, objective="mle_mcmc", **options)
    draws = model.sample(1000, generator=0)
    assert float((draws[:, 0] > 0).float().mean()) == pytest.approx(0.7, abs=0.12)
    assert float((draws[:, 0].abs() < 0.3).float().mean()) < 0.12
