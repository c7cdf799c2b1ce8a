"""Steps of a row's own: the tolerance, the tableau, the company it keeps, what it costs, and what is refused."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.classical.gaussian import Gaussian as NoVelocity
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.models.diffusion.interpolant import Interpolant
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.samplers.adaptive_ode import ERROR, PLACES, STAGES, AdaptiveFlow
from fairway.samplers.guidance import Guided
from fairway.samplers.ode import ProbabilityFlow


class Growth(torch.nn.Module):
    """du/dt = r u with a rate of each row's own, its first entry, which stays as it is: u(0) = u(1) e^-r."""

    def forward(self, u, t, context=None):
        return torch.cat([torch.zeros_like(u[:, :1]), u[:, :1] * u[:, 1:]], 1)


class Wall(torch.nn.Module):
    """A velocity that is not a number below t = 1/2 where the first entry is above 1."""

    def forward(self, u, t, context=None):
        return torch.where((t < 0.5) & (u[:, 0] > 1), torch.nan, 1.0).unsqueeze(1) * u


def flow(network, dims=2, dtype=torch.float64):
    return FlowMatching(Event((dims,)), network=network).to(dtype).eval()


def trained_like(dims=6, dtype=torch.float32, context_event=None):
    """A network with some curvature."""
    with seeded(0):
        model = FlowMatching(Event((dims,)), context_event, hidden=(32, 32))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.25)
    return model.to(dtype).eval()


def gaussian(schedule, dtype=torch.float64, mean=0.7, std=0.4):
    """A denoiser of N(mean, std^2), and the flow map of its prior, which is a line."""
    one = torch.ones(1, dtype=torch.float64)
    covariance = std**2 * torch.eye(2, dtype=torch.float64)
    model = MixtureDenoiser(one, one.new_full((1, 2), mean), covariance[None], schedule=schedule).to(dtype)
    alpha, sigma = model.schedule(torch.tensor([0.0, 1.0], dtype=torch.float64))
    (m, late_m), (s, late_s) = alpha * mean, torch.hypot(alpha * std, sigma)
    return model, lambda noise: m + s / late_s * (noise.double() - late_m)


def run(model, n=200, dtype=torch.float64, **options):
    return AdaptiveFlow(**options).run(model, n, context=None, generator=Rows(0, n, dtype=dtype))


def error(schedule, tolerance, dtype=torch.float64):
    model, exact = gaussian(schedule, dtype)
    draws = run(model, dtype=dtype, rtol=tolerance, atol=tolerance).samples
    assert draws.dtype == dtype
    return float((draws - exact(model._prior(Rows(0, 200, dtype=dtype)))).abs().max())


def test_the_tableau_is_consistent():
    """Rows of a add up to c, b to one, and the two orders differ by weights that add up to nothing."""
    for place, weights in zip(PLACES, STAGES, strict=True):
        assert sum(weights) == pytest.approx(place)
    nodes, b = (0.0, *PLACES[:-1]), STAGES[-1]
    for power in range(5):  # integrates t^0 to t^4 exactly
        assert sum(w * c**power for w, c in zip(b, nodes, strict=True)) == pytest.approx(1 / (power + 1))
    for power in range(4):
        assert sum(e * c**power for e, c in zip(ERROR, (*nodes, 1.0), strict=True)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("schedule", ["ve", "edm"])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8])
def test_the_exact_flow_is_reached_to_the_tolerance(schedule, tolerance):
    assert error(schedule, tolerance) < 10 * tolerance


@pytest.mark.parametrize("schedule", ["linear", "cosine", "vp", "sub_vp"])
def test_as_far_as_the_velocity_is_known(schedule):
    """Beside t = 0, without noise, and t = 1, without data, these velocities are read off at a distance of 0.001."""
    assert error(schedule, 1e-5) < 4e-4
    assert error(schedule, 1e-7) < 1e-4


@pytest.mark.parametrize("schedule", ["ve", "edm"])
def test_single_precision(schedule):
    assert error(schedule, 1e-5, torch.float32) < 1e-4


def test_the_error_falls_with_rtol_alone():
    model, exact = gaussian("edm")
    noise = model._prior(Rows(0, 200, dtype=torch.float64))
    errors = [float((run(model, rtol=r, atol=1e-12).samples - exact(noise)).abs().max()) for r in (1e-3, 1e-5, 1e-7)]
    assert errors[1] < errors[0] / 10 and errors[2] < errors[1] / 10


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("batch_size", [1, 7, 33])
def test_samples_do_not_depend_on_their_company(dtype, most, batch_size):
    model = trained_like(dtype=dtype)
    whole = model.sample(40, sampler=AdaptiveFlow(), generator=0)
    for n, size in ((40, batch_size), (13, None)):
        found = model.sample(n, sampler=AdaptiveFlow(), generator=0, batch_size=size)
        assert float((found - whole[:n]).abs().max()) < most


def test_every_row_takes_as_many_steps_as_it_needs():
    """Alone and together: the mean and the largest of the rows' own counts."""
    model, rate = flow(Growth()), torch.tensor([0.0, 3.0, 30.0, 100.0], dtype=torch.float64)
    init = torch.stack([rate, torch.ones_like(rate)], 1)

    def ask(init):
        return AdaptiveFlow().run(model, len(init), context=None, generator=Rows(0, len(init)), init=init)

    alone = [ask(row.unsqueeze(0)).evaluations for row in init]
    together = ask(init)
    assert alone == sorted(alone) and alone[0] == 61 and alone[3] > 2 * alone[0]
    assert (together.evaluations, together.most_evaluations) == (sum(alone) / 4, max(alone))
    torch.testing.assert_close(together.samples[:, 1], torch.exp(-rate), atol=1e-5, rtol=0)


def test_rows_that_have_arrived_leave_and_evaluations_are_those_asked_for():
    model, seen = flow(Growth()), []
    model.network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    init = torch.ones(40, 2, dtype=torch.float64)
    init[:, 0] = torch.linspace(0, 60, 40)
    draws = AdaptiveFlow().run(model, 40, context=None, generator=Rows(0, 40), init=init)
    assert seen == sorted(seen, reverse=True) and seen[0] == 40 and min(seen) == 8
    assert draws.most_evaluations == len(seen)
    assert 40 * draws.evaluations == pytest.approx(sum(seen), rel=0.1)  # the last few have company


def test_low_precision_is_left_to_other_samplers():
    model = trained_like()
    own = model.draw(20, sampler=AdaptiveFlow(), generator=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model.draw(20, sampler=AdaptiveFlow(), generator=0).samples, own.samples)


def test_counts_of_batches_add_up():
    model = trained_like()
    whole = model.draw(100, sampler="adaptive_flow", generator=0)
    parts = model.draw(100, sampler="adaptive_flow", generator=0, batch_size=33)
    assert whole.evaluations == pytest.approx(parts.evaluations)
    assert whole.most_evaluations == parts.most_evaluations > whole.evaluations


def test_contexts_stay_with_their_rows():
    model = trained_like(3, torch.float64, Event((), "category", levels=3))
    draws = model.sample(7, context=torch.arange(3), sampler=AdaptiveFlow(1e-9, 1e-9), generator=0)
    fixed = model.sample(7, context=torch.arange(3), sampler=ProbabilityFlow(400, "rk4"), generator=0)
    torch.testing.assert_close(draws, fixed, atol=1e-6, rtol=0)


def test_any_velocity_will_do():
    model = Interpolant(Event((1, 2, 2)), hidden=(8,)).double().eval()  # before training nothing moves
    torch.testing.assert_close(model.sample(3, init=torch.ones(3, 1, 2, 2), sampler=AdaptiveFlow()).mean().item(), 1.0)


def test_guidance_counts_a_row_s_own_answers():
    model = trained_like(3, torch.float64, Event((), "category", levels=3))
    own, twice = (
        model.draw(20, context=torch.tensor(1), sampler=s, generator=0)
        for s in (AdaptiveFlow(), Guided(1.0, AdaptiveFlow()))
    )
    torch.testing.assert_close(twice.samples, own.samples)
    assert (
        own.evaluations
        <= twice.evaluations
        == pytest.approx(own.evaluations * twice.most_evaluations / own.most_evaluations)
    )


def test_a_row_that_does_not_arrive_is_named():
    model = trained_like(dtype=torch.float64)
    with pytest.raises(RuntimeError, match=r"row \d is at t = [0-9.]+ after 3 steps: expected t = 0; raise rtol"):
        model.sample(4, sampler=AdaptiveFlow(most=3), generator=0)
    wall, init = flow(Wall()), torch.tensor([[0.1, 0.0], [9.0, 0.0], [0.2, 0.0]], dtype=torch.float64)
    with pytest.raises(RuntimeError, match=r"row 65 is at t = 0\.5 and a step of 1e-09 is too long"):
        AdaptiveFlow().run(wall, 3, context=None, generator=Rows(0, 3, start=64), init=init)


def test_a_path_has_no_times_in_common():
    with pytest.raises(ValueError, match="expected trace=False"):
        flow(Growth()).draw(2, sampler=AdaptiveFlow(), trace=True)


@pytest.mark.parametrize(
    "options",
    [{"rtol": -1e-3}, {"atol": float("nan")}, {"rtol": 0.0, "atol": 0.0}, {"rtol": float("inf")}, {"most": 0}],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        AdaptiveFlow(**options)


def test_a_model_without_a_velocity_is_refused():
    with pytest.raises(TypeError, match="adaptive_flow needs a model that answers 'velocity'"):
        NoVelocity(Event((2,))).sample(2, sampler=AdaptiveFlow())
