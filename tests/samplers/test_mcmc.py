"""Chains are rows: independent of the batch, started where they should be, adapted one by one."""

import pytest
import torch
from torch import nn

from fairway.core.capability import HasEnergy, HasScore
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.samplers import AIS, SMC, Annealed, ParallelTempering, SimulatedTempering, draw
from fairway.samplers.driver import ChainError, Fixed, Long
from fairway.samplers.hmc import HMC
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC, frozen
from fairway.samplers.metropolis import RandomWalk
from fairway.samplers.nuts import NUTS
from fairway.samplers.underdamped import Underdamped


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


INDEPENDENT = {
    "langevin": Langevin(0.5),
    "mala": Langevin(0.5, metropolis=True),
    "random walk": RandomWalk(),
    "underdamped": Underdamped(),
}


@pytest.mark.parametrize("name", INDEPENDENT)
def test_draws_do_not_depend_on_the_batch(name):
    model, sampler = Bowl(Event((2,))), MCMC(INDEPENDENT[name], Fixed(10, warmup=10))
    assert not sampler.coupled
    whole = model.sample(150, sampler=sampler, generator=3)
    torch.testing.assert_close(whole, model.sample(150, sampler=sampler, generator=3, batch_size=37))
    torch.testing.assert_close(whole[:40], model.sample(40, sampler=sampler, generator=3))


@pytest.mark.parametrize("kernel", [HMC(), NUTS(), HMC(0.2, 3)], ids=["hmc", "nuts", "hmc of 3"])
def test_chains_that_adapt_together_repeat_for_the_same_seed_and_number(kernel):
    model, sampler = Bowl(Event((2,))), MCMC(kernel, Fixed(5, warmup=25))
    assert sampler.coupled
    whole = model.sample(90, sampler=sampler, generator=3)
    assert torch.equal(whole, model.sample(90, sampler=sampler, generator=3))
    torch.testing.assert_close(whole, model.sample(90, sampler=sampler, generator=3, batch_size=20))
    assert not torch.equal(whole, model.sample(90, sampler=sampler, generator=4))


@pytest.mark.parametrize("kernel", [RandomWalk(), Langevin(metropolis=True), Underdamped(), HMC(), NUTS()])
def test_the_global_generator_is_left_alone(kernel):
    before = torch.get_rng_state()
    Bowl(Event((2,))).sample(4, sampler=MCMC(kernel, Fixed(3, warmup=3)), generator=0)
    draw(Bowl(Event((2,))), 4, sampler=kernel)
    assert torch.equal(torch.get_rng_state(), before)


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


# --------------------------------------------------------------------------------------------------------------- draw


def log_prob(u):
    return -0.5 * (u / 3).square().sum(1)


def test_a_log_density_of_your_own():
    draws = draw(log_prob, 500, 2, sampler="random_walk", generator=0)
    assert draws.samples.shape == (500, 2) and draws.samples.dtype == torch.float64
    assert draws.n_grad == 16 * (1 + 300 + 32) and draws.evaluations == draws.n_grad / 500
    assert torch.equal(draws.samples, draw(log_prob, 500, (2,), sampler=RandomWalk(), generator=0).samples)
    assert draws.rhat.shape == draws.ess.shape == (2,) and draws.divergences == 0


def test_a_seed_may_be_a_generator():
    one, two = (draw(log_prob, 8, 1, sampler="langevin", generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one.samples, two.samples)


def test_long_chains_of_a_density_start_where_they_are_told():
    kernel = MCMC(Langevin(1e-8), Long(4, warmup=0))
    init = torch.arange(8.0).reshape(4, 2)
    torch.testing.assert_close(draw(log_prob, 4, 2, sampler=kernel, init=init).samples.float(), init, atol=1e-3, rtol=0)
    one = draw(log_prob, 4, 2, sampler=kernel, init=init[:1]).samples
    torch.testing.assert_close(one.float(), init[:1].expand(4, 2), atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="a starting point for each of 4 chains, got"):
        draw(log_prob, 4, 2, sampler=kernel, init=init[:3])


def test_what_cannot_be_drawn_from():
    with pytest.raises(TypeError, match="expected shape="):
        draw(log_prob, 5)
    with pytest.raises(TypeError, match="a log density, a Target or a model, got int"):
        draw(3, 5)
    with pytest.raises(TypeError, match="energy"):
        draw(Slope(Event((2,))), 5, sampler="hmc")


def test_a_wrong_step_size_says_so_through_the_model():
    with pytest.raises(ChainError, match=r"no chain accepted any of its 25 moves .*step 25"):
        model = Bowl(Event((2,)))
        model.scale.data.fill_(1e14)
        model.sample(5, sampler=MCMC(HMC(1.0, 2), Fixed(25, warmup=0)), generator=0, init=torch.full((5, 2), 1e-8))


def test_a_density_that_is_nan_at_the_start_says_so_through_the_model():
    model = Bowl(Event((2,)))
    model.scale.data.fill_(torch.nan)
    with pytest.raises(ChainError, match=r"log density at the start \(step 0\) of chain 0 is nan"):
        model.sample(5, sampler="nuts", generator=0)


# ------------------------------------------------------------------------------------------------------------- context


class Given(HasEnergy, Model):
    """N(context, 1)."""

    accepts_context = ("real",)

    def _log_unnorm(self, u, context=None):
        return -0.5 * (u - context).square().flatten(1).sum(1)


@pytest.mark.parametrize("kernel", [Langevin(0.5), HMC(), NUTS()], ids=["langevin", "hmc", "nuts"])
def test_every_row_is_drawn_given_its_own_context(kernel):
    model = Given(Event((1,)), Event((1,)))
    context = torch.tensor([[-20.0], [0.0], [20.0]])
    x = model.sample(50, context=context, sampler=MCMC(kernel, Fixed(40, warmup=60)), generator=0)
    torch.testing.assert_close(x.mean(1).double(), context.double(), atol=0.8, rtol=0)


def test_long_chains_are_given_one_context():
    model, sampler = Given(Event((1,)), Event((1,))), MCMC(HMC(), Long(8, warmup=60))
    x = model.sample(200, context=torch.tensor([7.0]), sampler=sampler, generator=0)
    assert float(x.mean()) == pytest.approx(7, abs=0.6)
    with pytest.raises(ValueError, match="one context for draws that share their chains, got several"):
        model.sample(50, context=torch.tensor([[1.0], [2.0]]), sampler=sampler, generator=0)


@pytest.mark.parametrize("sampler", ["smc", "parallel_tempering"])
def test_populations_of_their_own_size_are_given_one_context(sampler):
    model = Given(Event((1,)), Event((1,)))
    x = model.sample(100, context=torch.tensor([3.0]), sampler=sampler, generator=0)
    assert x.shape == (100, 1) and float(x.mean()) == pytest.approx(3, abs=0.5)
    with pytest.raises(ValueError, match="one context for draws that share their chains, got several"):
        model.sample(50, context=torch.tensor([[1.0], [2.0]]), sampler=sampler, generator=0)


@pytest.mark.parametrize("driver", [AIS(), Annealed(), SMC(), ParallelTempering(), SimulatedTempering()])
def test_drivers_that_start_from_their_reference_take_no_starting_points(driver):
    with pytest.raises(ValueError, match="starts from its reference"):
        draw(log_prob, 8, 2, sampler=MCMC(HMC(), driver), init=torch.zeros(8, 2), generator=0)
