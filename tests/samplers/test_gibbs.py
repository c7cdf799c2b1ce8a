"""Gibbs sampling against the exact transition matrix, by enumeration of a small space."""

import itertools
from dataclasses import replace

import pytest
import torch

from fairway.core.capability import HasGibbs, HasLogProb
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.random import Rows
from fairway.models.autoregressive.made import MADE
from fairway.samplers.gibbs import Gibbs, redraw_entry
from fairway.samplers.mcmc import MCMC, draw
from fairway.samplers.target import Target

EVENT = Event((3,), "category", levels=3)
STATES = torch.tensor(list(itertools.product(range(3), repeat=3)))
TABLE = torch.softmax(Rows(0, 27, dtype=torch.float64).normal() * 1.5, 0)


def index(u):
    return (u.long() * torch.tensor([9, 3, 1])).sum(1)


TARGET = Target(lambda u: TABLE[index(u)].log(), event=EVENT)


def exact_step(entry):
    """(27, 27): the transition matrix of redrawing one entry, from the table."""
    matrix = torch.zeros(27, 27, dtype=torch.float64)
    for a, b in itertools.product(range(27), repeat=2):
        others = [k for k in range(3) if k != entry]
        if torch.equal(STATES[a, others], STATES[b, others]):
            alike = (STATES[:, others] == STATES[a, others]).all(1)
            matrix[a, b] = TABLE[b] / TABLE[alike].sum()
    return matrix


def measured_step(entry, grid=3000):
    """The same from the code: every state, under an even grid of uniforms."""
    uniforms = ((torch.arange(grid, dtype=torch.float64) + 0.5) / grid).repeat(27)
    start = STATES.repeat_interleave(grid, 0)
    end, value = redraw_entry(TARGET, start, entry, uniforms.unsqueeze(1).expand(-1, 3))
    torch.testing.assert_close(value, TABLE[index(end)].log())
    counts = torch.zeros(27, 27, dtype=torch.float64)
    counts.index_put_((index(start), index(end)), torch.ones(len(end), dtype=torch.float64), accumulate=True)
    return counts / grid


@pytest.mark.parametrize("entry", [0, 1, 2])
def test_the_transition_matrix_is_the_conditional_law(entry):
    torch.testing.assert_close(measured_step(entry), exact_step(entry), atol=2e-3, rtol=0)


def test_a_round_leaves_the_table_invariant_and_mixes():
    matrix = exact_step(0) @ exact_step(1) @ exact_step(2)
    torch.testing.assert_close(TABLE @ matrix, TABLE)
    assert torch.linalg.eigvals(matrix).abs().sort().values[-2] < 0.999


@pytest.mark.parametrize("kernel", [Gibbs(), Gibbs(shuffled=True)])
def test_long_chains_have_the_shares_of_the_table(kernel):
    draws = draw(TARGET, 20_000, sampler=kernel, generator=0)
    shares = torch.bincount(index(draws.samples), minlength=27) / len(draws.samples)
    assert float((shares - TABLE).abs().sum()) / 2 < 0.03
    assert draws.samples.dtype == torch.int64


def test_any_discrete_model_can_be_drawn_by_gibbs():
    model = MADE(Event((3,), "binary"), hidden=(8,)).double().eval()
    own, chains = model.sample(4000, generator=0), model.sample(4000, sampler="gibbs", generator=1)
    assert float((own.double().mean(0) - chains.double().mean(0)).abs().max()) < 0.04


class Spins(HasGibbs, HasLogProb, Model):
    """Two coupled binary entries that know how to redraw themselves."""

    accepts = ("binary",)

    @property
    def blocks(self):
        return 2

    def _log_prob(self, u, context=None):
        agree = (u[:, 0] == u[:, 1]).double()
        return 1.5 * agree - torch.tensor(2 + 2 * torch.e**1.5).log()

    def _resample(self, u, block, uniforms):
        other = u[:, 1 - block].double()
        chance = torch.sigmoid(1.5 * (2 * other - 1))
        u = u.clone()
        u[:, block] = (uniforms[:, block] < chance).to(u.dtype)
        return u


def test_a_model_that_knows_its_blocks_is_asked():
    x = Spins(Event((2,), "binary")).sample(8000, sampler="gibbs", generator=0)
    agree = float((x[:, 0] == x[:, 1]).double().mean())
    assert agree == pytest.approx(1 / (1 + torch.e**-1.5), abs=0.02)


class HiddenSpin(Spins):
    """The same two entries redrawn in one block, one after the other; a third number says which is first."""

    @property
    def blocks(self):
        return 1

    @property
    def gibbs_uniforms(self):
        return (3,)

    def _resample(self, u, block, uniforms):
        assert uniforms.shape == (len(u), 3)
        there, back = u, u
        for k in (0, 1):
            there, back = super()._resample(there, k, uniforms), super()._resample(back, 1 - k, uniforms)
        return torch.where(uniforms[:, 2:] < 0.5, there, back)


def test_a_model_says_how_many_uniforms_a_round_takes():
    model = HiddenSpin(Event((2,), "binary"))
    target = Target.of(model)
    assert Gibbs().noise(target)["redraw"] == ("uniform", (3,)) and target.event.shape == (2,)
    assert Gibbs().noise(replace(target, uniforms=None))["redraw"] == ("uniform", (2,))
    x = model.sample(8000, sampler="gibbs", generator=0)
    assert float((x[:, 0] == x[:, 1]).double().mean()) == pytest.approx(1 / (1 + torch.e**-1.5), abs=0.02)


def test_continuous_targets_are_refused():
    with pytest.raises(TypeError, match="discrete"):
        MCMC(Gibbs()).run(Target(lambda u: -u.square().sum(1), event=Event((2,))), 4, generator=Rows(0, 4))
