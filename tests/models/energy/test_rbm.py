"""A restricted Boltzmann machine against enumeration of its visible and hidden units."""

import itertools

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, mix, seeded
from fairway.metrics.log_normaliser import grid_log_normaliser
from fairway.models.energy.rbm import RBM
from fairway.samplers.gibbs import Gibbs
from fairway.samplers.mcmc import MCMC
from fairway.testing.statistics import ALARM, chi_square_p

D, H = 6, 4
VISIBLE = torch.tensor(list(itertools.product((0, 1), repeat=D)))
HIDDEN = torch.tensor(list(itertools.product((0, 1), repeat=H))).double()
PLACE = 2 ** torch.arange(D - 1, -1, -1)


def machine(spread=1.2, seed=0):
    with seeded(seed):
        model = RBM(Event((D,), "binary"), hidden=H, chain_steps=40).double()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, 0, spread)
    model.preprocess.fit(VISIBLE[[3, 3, 5, 40, 63, 63, 62]])
    return model.eval()


def joint(model):
    """(64, 16): b'v + c'h + v'Wh of every pair."""
    v = VISIBLE.double()
    with torch.no_grad():
        return (v @ model.visible_bias).unsqueeze(1) + HIDDEN @ model.hidden_bias + v @ model.weight @ HIDDEN.T


def test_the_energy_sums_out_the_hidden_units():
    model = machine()
    shift = -model.energy(VISIBLE) - joint(model).logsumexp(1)
    torch.testing.assert_close(shift, shift[:1].expand(64), rtol=0, atol=1e-10)


def test_its_units_given_the_other_layer_are_those_of_the_joint_law():
    model, both = machine(), joint(machine()).exp()
    torch.testing.assert_close(model.encode(VISIBLE), both @ HIDDEN / both.sum(1, keepdim=True))
    given = (both.T @ VISIBLE.double()) / both.sum(0).unsqueeze(1)
    assert torch.equal(model.decode(HIDDEN), (given > 0.5).long())


def test_at_no_weight_it_has_the_data_s_marginals():
    model = RBM(Event((D,), "binary"), hidden=H).double()
    x = VISIBLE[[3, 3, 5, 40, 63, 63, 62]]
    model.preprocess.fit(x)
    with torch.no_grad():
        model.weight.zero_()
    p = torch.softmax(-model.energy(VISIBLE), 0)
    torch.testing.assert_close(p @ VISIBLE.double(), (x.double().sum(0) + 1) / (len(x) + 2))


def test_a_round_leaves_the_law_as_it_is_and_goes_everywhere():
    model, n = machine(), 40_000
    p = torch.softmax(-model.energy(VISIBLE), 0)
    start = VISIBLE[torch.multinomial(p, n, replacement=True, generator=torch.Generator().manual_seed(0))]
    end = model._resample(start.double(), 0, Rows(1, n, dtype=torch.float64).uniform(D + H))
    assert chi_square_p(torch.bincount((end.long() @ PLACE), minlength=64), p * n) > ALARM
    away = model.draw(4000, sampler=MCMC(Gibbs()), init=VISIBLE[:1].expand(4000, D), generator=0).samples
    assert chi_square_p(torch.bincount(away @ PLACE, minlength=64), p * 4000) > ALARM


def test_half_way_a_round_keeps_the_law_half_way():
    """f_beta by differences of `_path_round` from 0, its law by enumeration."""
    model, n = machine(), 40_000
    noise = Rows(1, 64, dtype=torch.float64).uniform(D + H)
    half = model._path_round(VISIBLE.double(), 0.0, 0.5, noise)[1]
    rest = model._path_round(VISIBLE.double(), 0.5, 1.0, noise)[1]
    torch.testing.assert_close(half + rest, model._tilt(VISIBLE))
    p = torch.softmax(half + model._log_reference(VISIBLE), 0)
    start = VISIBLE[torch.multinomial(p, n, replacement=True, generator=torch.Generator().manual_seed(0))]
    end, _ = model._path_round(start.double(), 0.5, 0.5, Rows(2, n, dtype=torch.float64).uniform(D + H))
    assert chi_square_p(torch.bincount(end.long() @ PLACE, minlength=64), p.detach() * n) > ALARM


def exact_nll(model, x):
    return float(model.energy(x).detach().double().mean()) + grid_log_normaliser(model).value


@pytest.fixture(scope="module")
def fitted():
    """Eight patterns of eight bits, learned by plain Adam; independent of the library's training loop."""
    stripes = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0])
    x = torch.stack([stripes.roll(k) for k in range(8)]).repeat(16, 1)
    with seeded(0):
        model = RBM(Event((8,), "binary"), hidden=12, chain_steps=20)
    model.preprocess.fit(x)
    objective = model.default_objective()
    objective.setup(model)
    before = exact_nll(model, x)
    optimiser = torch.optim.Adam(model.parameters(), 0.03, betas=(0.5, 0.999))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 300)
    for k in range(300):
        rows = Rows(mix(0, k), 128)
        loss = objective.loss(Batch(x), model, phase=Phase(), generator=rows).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval(), x, before


def test_chains_that_persist_teach_it_eight_patterns(fitted):
    model, x, before = fitted
    after = exact_nll(model, x)
    assert before > 5 and after < 2.6  # log 8 = 2.08 at best
    draws = model.sample(400, generator=0)
    assert float((draws.unsqueeze(1) == x[:8]).all(2).any(1).double().mean()) > 0.6


def test_draws_go_on_from_the_chains_of_training(fitted):
    model, _, _ = fitted
    assert len(model.chains) and model.default_sampler().driver.steps == 20
    assert RBM(Event((8,), "binary"), chain_steps=20).default_sampler().driver.steps == 40


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="hidden"):
        RBM(Event((3,), "binary"), hidden=0)
    with pytest.raises(ValueError, match="binary"):
        RBM(Event((3,), "integer", low=0, high=5))
