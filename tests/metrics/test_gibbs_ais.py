"""log Z of discrete energies, against the sum over all values."""

import math
from itertools import pairwise

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.metrics.gibbs_ais import anneal_down, anneal_up, betas_of
from fairway.metrics.likelihood import likelihood
from fairway.metrics.log_normaliser import bracket_log_normaliser, grid_log_normaliser, log_normaliser
from fairway.models.energy.potts import Potts
from fairway.models.energy.rbm import RBM
from fairway.samplers.ais import AIS
from fairway.samplers.gibbs import Gibbs
from fairway.samplers.hmc import HMC
from fairway.samplers.mcmc import MCMC


def build(name, spread=1.0):
    with seeded(0):
        if name == "rbm":
            model = RBM(Event((6,), "binary"), hidden=4).double()
        else:
            model = Potts(Event((2, 2), "integer", low=3, high=5)).double()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, 0, spread)
        model.preprocess.fit(torch.randint(0, 2, (20, *model.event.shape)) + model.event.offset)
    return model.eval()


def values(model):
    levels, dims = model.event.levels, model.event.dims
    grid = torch.cartesian_prod(*[torch.arange(levels)] * dims)
    return grid.reshape(-1, *model.event.shape) + model.event.offset


def exact_draws(model, n):
    x = values(model)
    p = torch.softmax(-model.energy(x), 0)
    return x[torch.multinomial(p, n, replacement=True, generator=torch.Generator().manual_seed(0))]


BOTH = pytest.mark.parametrize("name", ["rbm", "potts"])


@BOTH
def test_the_sum_over_all_values_is_exact(name):
    model = build(name)
    found = grid_log_normaliser(model)
    assert found.value == pytest.approx(float(torch.logsumexp(-model.energy(values(model)), 0)), abs=1e-10)
    assert (found.relation, found.method, found.standard_error) == ("equal", "exact", 0.0)


@BOTH
@pytest.mark.parametrize("temperatures", [4, 20])
def test_mean_weights_are_z_however_few_temperatures(name, temperatures):
    model = build(name)
    log_Z, betas = grid_log_normaliser(model).value, betas_of(temperatures)
    up, down = (
        anneal_up(model, 20_000, betas),
        anneal_down(model, model._to_model(exact_draws(model, 20_000))[0], betas),
    )
    assert abs(up.log_mean - log_Z) < 4 * up.error < 0.4
    assert abs(-down.log_mean - log_Z) < 4 * down.error < 0.4


@BOTH
def test_more_temperatures_and_more_rounds_are_worth_more(name):
    model = build(name, 1.5)
    few, many = anneal_up(model, 2000, betas_of(5)), anneal_up(model, 2000, betas_of(60))
    long = anneal_up(model, 2000, betas_of(5), steps=8)
    assert few.ess < 0.7 * many.ess and few.ess < long.ess


@BOTH
def test_log_z_of_a_model_by_its_bracket(name):
    model = build(name)
    log_Z = grid_log_normaliser(model).value
    lower, upper = bracket_log_normaliser(model, exact_draws(model, 500), sampler=MCMC(Gibbs(), AIS(50)))
    assert (lower.relation, upper.relation) == ("lower", "upper")
    assert lower.value - 3 * lower.standard_error < log_Z < upper.value + 3 * upper.standard_error
    assert abs(upper.value - lower.value) < 0.3
    alone = log_normaliser(model, n=300)
    assert abs(alone.value - log_Z) < 4 * alone.standard_error + 1e-3 and alone.info["gradients"] == 300 * 999


def test_likelihoods_sum_to_one_and_say_from_which_side():
    model = build("rbm")
    x = values(model)
    found = likelihood(model, x, log_Z=grid_log_normaliser(model))
    assert float(found.value.exp().sum()) == pytest.approx(1.0, abs=1e-9) and found.relation == "equal"
    annealed = likelihood(model, x[:5])
    assert annealed.relation == "upper" and annealed.method == "estimate"
    torch.testing.assert_close(annealed.value, found.value[:5], atol=0.2, rtol=0)


def test_weights_follow_the_seed_and_not_how_chains_are_batched():
    model = build("rbm")
    whole = anneal_up(model, 200, betas_of(10), generator=5)
    assert anneal_up(model, 200, betas_of(10), generator=6) != whole
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RBM, "rows_at_once", 64)
        assert anneal_up(model, 200, betas_of(10), generator=5).log_mean == pytest.approx(whole.log_mean, abs=1e-12)


def test_weights_worth_under_one_percent_give_no_number():
    with seeded(0):
        model = RBM(Event((30,), "binary"), hidden=4).double().eval()
        torch.nn.init.normal_(model.weight, 0, 5.0)
    with pytest.warns(UserWarning, match="no log Z"):
        found = log_normaliser(model, n=400, sampler=MCMC(Gibbs(), AIS((0.0, 1.0))))
    assert math.isnan(found.value) and found.relation == "none"


def test_temperatures_lead_from_0_to_1():
    for count in (4, 5, 29, 1000):
        betas = betas_of(count)
        assert len(betas) == count and betas[0] == 0 and betas[-1] == 1
        assert all(a < b for a, b in pairwise(betas))
    assert betas_of((0.0, 0.3, 1.0)) == [0.0, 0.3, 1.0]


def test_wrong_questions_are_refused():
    with pytest.raises(ValueError, match="Gibbs"):
        log_normaliser(build("rbm"), sampler=MCMC(HMC(), AIS(10)))
    with pytest.raises(ValueError, match="anneal"):
        grid_log_normaliser(RBM(Event((30,), "binary"), hidden=2))
