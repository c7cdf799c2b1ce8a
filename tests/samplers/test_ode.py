"""The probability flow: order of the methods, independence of the batch, cost."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.prediction import PREDICTIONS
from fairway.models.diffusion.schedule import SCHEDULES
from fairway.samplers.dpm_solver import DPMSolver
from fairway.samplers.ode import ProbabilityFlow
from fairway.samplers.reverse_sde import ReverseSDE


class Gaussian(torch.nn.Module):
    """The velocity that carries N(0, 1) to N(0, 1/4) on the straight line: sample = noise / 2, exactly."""

    def forward(self, u, t, context=None):
        t = t.unsqueeze(1)
        return u * (t - (1 - t) / 4) / ((1 - t) ** 2 / 4 + t**2)


@pytest.fixture
def model():
    return FlowMatching(Event((2,)), network=Gaussian()).double()


def draw(model, n=20, **options):
    return ProbabilityFlow(**options).run(model, n, context=None, generator=Rows(0, n, dtype=torch.float64))


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2), ("rk4", 4)])
def test_error_falls_with_the_order_of_the_method(model, method, order):
    exact = Rows(0, 20, dtype=torch.float64).normal(2) / 2
    errors = [float((draw(model, steps=s, method=method).samples - exact).abs().max()) for s in (40, 80)]
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.25)


def test_draws_do_not_depend_on_the_batch(model):
    whole = model.sample(100, generator=0)
    torch.testing.assert_close(whole, model.sample(100, generator=0, batch_size=17))
    torch.testing.assert_close(whole[:30], model.sample(30, generator=0))


@pytest.mark.parametrize(("method", "cost"), [("euler", 5), ("heun", 10), ("rk4", 20)])
def test_evaluations_are_counted(model, method, cost):
    calls = []
    model.network.register_forward_pre_hook(lambda *_: calls.append(1))
    draws = draw(model, steps=5, method=method)
    assert draws.evaluations == cost == len(calls)


def test_starting_points_and_trace(model):
    init = torch.ones(3, 2, dtype=torch.float64)
    rows = Rows(0, 3, dtype=torch.float64)
    draws = ProbabilityFlow(4).run(model, 3, context=None, generator=rows, init=init, trace=True)
    assert draws.trace.shape == (5, 3, 2)
    assert torch.equal(draws.trace[0], init)
    assert torch.equal(draws.trace[-1], draws.samples)


@pytest.mark.parametrize("options", [{"method": "midpoint"}, {"steps": 0}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        ProbabilityFlow(**options)


@pytest.mark.parametrize("prediction", sorted(PREDICTIONS))
@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_any_denoiser_flows(schedule, prediction):
    """At an end with no noise, or no data, left the velocity is 0 / 0: it is read off beside it."""
    one = torch.ones(1, dtype=torch.float64)
    model = MixtureDenoiser(one, one[:, None], one[:, None, None] / 4, schedule=schedule, prediction=prediction)
    draws = ProbabilityFlow(400, "rk4").run(model.double(), 4000, context=None, generator=Rows(0, 4000)).samples
    left = 1 / (1 + model.schedule.signal_left**-2) ** 0.5 if model.schedule.signal_left else 0.0
    assert float(draws.mean()) == pytest.approx(1.0, abs=0.03 + left)  # starts at mean 0, whatever is left of the data
    assert float(draws.std()) == pytest.approx(0.5, abs=0.02)


def test_the_equation_backwards_starts_beside_pure_noise():
    """cos(pi / 2) is 6e-17 in floating point, which is nothing."""
    one = torch.ones(1, dtype=torch.float64)
    for sampler in (ReverseSDE(400), DPMSolver(60)):
        model = MixtureDenoiser(one, one[:, None], one[:, None, None] / 4, schedule="cosine").double()
        draws = sampler.run(model, 4000, context=None, generator=Rows(0, 4000, dtype=torch.float64)).samples
        assert float(draws.mean()) == pytest.approx(1.0, abs=0.05)
        assert float(draws.std()) == pytest.approx(0.5, abs=0.03)
