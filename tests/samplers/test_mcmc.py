"""Chains are rows: independent of the batch, started where they should be, adapted one by one."""

import pytest
import torch
from torch import nn

from fairway.core.capability import HasEnergy, HasScore
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.samplers.driver import Fixed
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC, frozen


class Bowl(HasEnergy, Model):
    """log p = -u^2 / 2 per entry, scaled by a parameter."""

    def __init__(self, event: Event) -> None:
        super().__init__(event)
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def _log_unnorm(self, u, context=None):
        return -0.5 * self.scale * u.square().flatten(1).sum(1)


class Slope(HasScore, Model):
    """A score without an energy."""

    def _score(self, u, context=None):
        return -u


@pytest.mark.parametrize("metropolis", [False, True])
def test_draws_do_not_depend_on_the_batch(metropolis):
    model, sampler = Bowl(Event((2,))), MCMC(Langevin(0.5, metropolis), Fixed(10, warmup=10))
    whole = model.sample(150, sampler=sampler, generator=3)
    torch.testing.assert_close(whole, model.sample(150, sampler=sampler, generator=3, batch_size=37))
    torch.testing.assert_close(whole[:40], model.sample(40, sampler=sampler, generator=3))


def test_a_score_is_enough_without_a_test_and_not_with_one():
    x = Slope(Event((2,))).sample(500, sampler=Langevin(0.1), generator=0)
    assert float(x.std()) == pytest.approx(1.0, abs=0.08)
    with pytest.raises(TypeError, match="energy"):
        Slope(Event((2,))).sample(5, sampler=Langevin(metropolis=True), generator=0)


def test_chains_start_at_init_in_data_units():
    model = Bowl(Event((1,)))
    model.preprocess.fit(torch.tensor([[100.0], [104.0]]))
    x = model.sample(3, init=torch.full((3, 1), 200.0), sampler=MCMC(Langevin(1e-8), Fixed(1)), generator=0)
    torch.testing.assert_close(x.double(), torch.full((3, 1), 200.0).double(), atol=0.01, rtol=0)
    with pytest.raises(ValueError, match="init"):
        model.sample(4, init=torch.zeros(3, 1), sampler=Langevin(), generator=0)


def test_chains_start_where_the_model_says():
    class Started(Bowl):
        def _chains(self, context, rows):
            return torch.full((rows.n, 1), 7.0, dtype=torch.float64)

    draws = Started(Event((1,))).draw(2, sampler=MCMC(Langevin(1e-8), Fixed(1)), generator=0)
    torch.testing.assert_close(draws.samples, torch.full((2, 1), 7.0).double(), atol=0.01, rtol=0)


def test_the_account_of_a_run():
    draws = Bowl(Event((2,))).draw(8, sampler=MCMC(Langevin(0.1, metropolis=True), Fixed(7, warmup=5)), trace=True)
    assert draws.evaluations == 13
    assert draws.trace.shape == (7, 8, 2)
    assert 0.3 < draws.acceptance <= 1
    assert draws.effective_temperature == 1


def test_parameters_stay_out_of_the_chains_graph():
    model = Bowl(Event((2,)))
    with frozen(model):
        assert not model.scale.requires_grad
    assert model.scale.requires_grad
    model.sample(4, sampler=Langevin(), generator=0)
    assert model.scale.grad is None


def test_a_kernel_or_a_name_is_wrapped():
    model = Bowl(Event((1,)))
    torch.testing.assert_close(
        model.sample(3, sampler="langevin", generator=0), model.sample(3, sampler=Langevin(), generator=0)
    )
