"""log Z of energy models: from below, from above, on a grid, or no number at all."""

import math

import pytest
import torch

from fairway.core.capability import CapabilityError, HasEnergy
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.numerics import event_sum
from fairway.metrics.log_normaliser import bracket_log_normaliser, grid_log_normaliser, log_normaliser
from fairway.samplers.ais import AIS
from fairway.samplers.hmc import HMC
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


def test_annealing_finds_log_z_and_says_from_which_side():
    found = log_normaliser(bowl(4), n=400, sampler=MCMC(HMC(), AIS(40)))
    assert abs(found.value - exact_log_Z(4)) < 3 * found.standard_error < 0.3
    assert (found.relation, found.method, found.unit) == ("lower", "estimate", "nats")
    assert found.info["ess"] > 40 and found.n == (400,)


def test_the_grid_is_exact_in_up_to_three_dimensions_and_refuses_four():
    for shape in ((), (1,), (2,), (3,)):
        found = grid_log_normaliser(bowl(*shape))
        assert found.value == pytest.approx(exact_log_Z(max(sum(shape), 1)), abs=1e-9)
        assert (found.relation, found.method) == ("equal", "numerical") and found.standard_error < 1e-6
    with pytest.raises(ValueError, match="three dimensions"):
        grid_log_normaliser(bowl(4))
    with pytest.raises(ValueError, match="rim"):
        grid_log_normaliser(bowl(2), reach=2.0)


def test_draws_of_the_model_give_the_other_side():
    model = bowl(4)
    exact = model.preprocess.to_data(1 + 0.6 * torch.randn(400, 4, dtype=torch.float64))
    lower, upper = bracket_log_normaliser(model, exact, sampler=MCMC(MALA, AIS(60)))
    assert (lower.relation, upper.relation) == ("lower", "upper")
    assert lower.value - 3 * lower.standard_error < exact_log_Z(4) < upper.value + 3 * upper.standard_error
    assert abs(upper.value - lower.value) < 0.3
    rough_lower, rough_upper = bracket_log_normaliser(model, exact, sampler=MCMC(MALA, AIS((0.0, 0.2, 1.0))))
    assert rough_upper.value - rough_lower.value > upper.value - lower.value


def test_weights_worth_under_one_percent_give_no_number():
    class Needle(HasEnergy, Model):
        def _log_unnorm(self, u, context=None):
            return -5e3 * (u - 4).square().sum(1)

    model = Needle(Event((6,))).double().eval()
    with pytest.warns(UserWarning, match="no log Z"):
        found = log_normaliser(model, n=400, sampler=MCMC(MALA, AIS((0.0, 1.0))))
    assert math.isnan(found.value) and found.relation == "none"


def test_wrong_questions_are_refused(silent):
    with pytest.raises(CapabilityError, match="energy"):
        log_normaliser(silent(Event((2,))))
    with pytest.raises(ValueError, match="AIS"):
        log_normaliser(bowl(2), sampler=MCMC(MALA))
    with pytest.raises(ValueError, match="at least 100"):
        log_normaliser(bowl(2), n=10)
