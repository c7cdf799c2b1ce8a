"""Likelihoods of energy models: the right log Z, and the right direction of its error."""

import math

import pytest
import torch

from fairway.core.capability import CapabilityError, HasEnergy
from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.numerics import event_sum
from fairway.core.preprocessing import dequantised
from fairway.core.random import seeded
from fairway.metrics.estimate import Estimate
from fairway.metrics.likelihood import likelihood
from fairway.metrics.log_normaliser import bracket_log_normaliser, grid_log_normaliser, log_normaliser
from fairway.models.energy.energy import EBM
from fairway.samplers.ais import AIS
from fairway.samplers.driver import Fixed
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC

MALA = Langevin(metropolis=True)


class Bowl(HasEnergy, Model):
    """exp(-|u - 1|^2 / (2 0.6^2) + 3): log Z = 3 + D log(0.6 sqrt(2 pi))."""

    def _log_unnorm(self, u, context=None):
        return 3 - 0.5 * event_sum(((u - 1) / 0.6).square())


def exact_log_Z(dims):
    return 3 + dims * math.log(0.6 * math.sqrt(2 * math.pi))


def bowl(*shape):
    model = Bowl(Event(shape))
    model.double()
    return model.eval()


def test_units_of_the_data_do_not_change_log_z_but_the_energy():
    model = bowl(3)
    model.preprocess.fit(torch.tensor([[0.0, 10.0, -5.0], [40.0, 14.0, 5.0]], dtype=torch.float64))
    scale = model.preprocess.to_data(torch.ones(1, 3)) - model.preprocess.to_data(torch.zeros(1, 3))
    x = model.preprocess.to_data(torch.ones(2, 3, dtype=torch.float64))
    found = likelihood(model, x, log_Z=Estimate(exact_log_Z(3), unit="nats"))
    peak = -3 * math.log(0.6 * math.sqrt(2 * math.pi)) - float(scale.log().sum())
    torch.testing.assert_close(found.value, torch.full((2,), peak, dtype=torch.float64))
    assert (found.relation, found.method) == ("equal", "exact")


@pytest.mark.parametrize(("side", "expected"), [("lower", "upper"), ("upper", "lower"), ("none", "none")])
def test_a_log_z_from_below_is_a_likelihood_from_above(side, expected):
    found = likelihood(bowl(3), torch.zeros(2, 3), log_Z=Estimate(1.0, 0.2, side, "estimate", "nats"))
    assert (found.relation, found.method) == (expected, "estimate")
    torch.testing.assert_close(found.mc_error, torch.full((2,), 0.2, dtype=torch.float64))
    torch.testing.assert_close(found.terms["log_unnormalised"] + found.terms["log_Z"], found.value)


def test_an_energy_model_on_the_plane_by_annealing_and_on_a_grid():
    with seeded(1):
        model = EBM(Event((2,)), hidden=(32, 32)).double().eval()
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter.mul_(2.0)
    grid = grid_log_normaliser(model, points=201)
    found = log_normaliser(model, n=500, sampler=MCMC(MALA, AIS(60)))
    assert abs(found.value - grid.value) < 4 * found.standard_error < 0.2
    long = model.sample(500, sampler=MCMC(MALA, Fixed(400)), generator=0)
    lower, upper = bracket_log_normaliser(model, long, sampler=MCMC(MALA, AIS(60)))
    assert lower.value - 4 * lower.standard_error < grid.value < upper.value + 4 * upper.standard_error
    rows = model.preprocess.to_data(torch.cartesian_prod(*[torch.linspace(-6, 6, 121, dtype=torch.float64)] * 2))
    density = likelihood(model, rows, log_Z=grid)
    assert float(density.value.exp().sum() * 0.1**2) == pytest.approx(1.0, abs=1e-3)
    assert likelihood(model, rows[:3]).relation == "equal"


def test_beyond_three_dimensions_the_default_flatters():
    found, cube = (likelihood(bowl(d), torch.ones(2, d, dtype=torch.float64)) for d in (4, 3))
    assert found.relation == "upper" and float(found.mc_error[0]) > 0
    peak = -math.log(0.6 * math.sqrt(2 * math.pi))
    assert float(found.value[0]) == pytest.approx(4 * peak, abs=4 * float(found.mc_error[0]))
    assert cube.relation == "equal" and float(cube.value[0]) == pytest.approx(3 * peak, abs=1e-9)


def test_without_a_log_z_there_is_no_likelihood():
    found = likelihood(bowl(3), torch.zeros(2, 3), log_Z=Estimate(math.nan, math.nan, "none", "estimate", "nats"))
    assert found.relation == "none" and bool(found.value.isnan().all())


def test_counted_data_have_a_lower_bound_or_nothing():
    class Cells(Bowl):
        accepts = ("integer",)
        tiny = [Case(Event((2,), "integer", low=0, high=3), None, {})]

        def preprocessing(self, event):
            return dequantised(event)

    model = Cells(Event((2,), "integer", low=0, high=3)).double().eval()
    x = torch.tensor([[0, 1], [2, 3], [1, 1]])
    model.preprocess.fit(x)
    found = likelihood(model, x, generator=1)
    assert (found.relation, found.method) == ("lower", "estimate") and bool((found.mc_error > 0).all())
    below = likelihood(model, x, log_Z=Estimate(1.0, 0.1, "lower", "estimate", "nats"))
    assert below.relation == "none"


def test_a_normalised_model_is_evaluated_as_it_is(normal):
    model = normal(Event((3,))).eval()
    found = likelihood(model, torch.zeros(2, 3))
    assert found.relation == "equal" and float(found.value[0]) == pytest.approx(-1.5 * math.log(2 * math.pi))


def test_each_context_has_a_log_z_of_its_own():
    model = EBM(Event((1,)), Event((), "category", levels=3), hidden=(8,)).eval()
    x = torch.linspace(-8, 8, 1601).reshape(-1, 1)
    for label in range(3):
        found = likelihood(model, x, torch.tensor(label))
        assert float(found.value.exp().sum() * 0.01) == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(ValueError, match="one context"):
        likelihood(model, x[:3], torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="one context"):
        log_normaliser(model, torch.tensor([0, 1]))
    by_annealing = log_normaliser(model, torch.tensor(1), n=200, sampler=MCMC(MALA, AIS(20)))
    on_grid = grid_log_normaliser(model, torch.tensor(1))
    assert by_annealing.value == pytest.approx(on_grid.value, abs=4 * by_annealing.standard_error + 1e-3)


def test_wrong_questions_are_refused(silent):
    with pytest.raises(CapabilityError, match="energy"):
        likelihood(silent(Event((2,))), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="shape"):
        likelihood(bowl(2), torch.zeros(2, 3))
