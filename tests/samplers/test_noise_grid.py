"""Every sampler of denoisers against exact ones: its order, its law, its cost, its grid, its seeds."""

from itertools import pairwise

import pytest
import torch

from fairway.core.random import Rows
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.schedule import SCHEDULES
from fairway.samplers.ddim import DDIM, Ancestral
from fairway.samplers.dpm_solver import DPMSolver, DPMSolverSDE
from fairway.samplers.heun import Heun
from fairway.samplers.noise_grid import GRIDS, Level, noise_levels
from fairway.samplers.reverse_sde import PredictorCorrector, ReverseSDE

DETERMINISTIC = {"ddim": (DDIM, 1), "heun": (Heun, 2), "dpm_solver": (DPMSolver, 2)}
STOCHASTIC = {
    "ancestral": lambda: Ancestral(200),
    "ddim half": lambda: DDIM(200, eta=0.5),
    "churn": lambda: Heun(40, churn=20.0),
    "sde 2m": lambda: DPMSolverSDE(80),
    "reverse sde": lambda: ReverseSDE(400),
    "corrected": lambda: PredictorCorrector(250),
}


def two_humps(schedule="vp"):
    weights = torch.tensor([0.65, 0.35], dtype=torch.float64)
    means = torch.tensor([[-0.8, 0.3], [1.1, -0.6]], dtype=torch.float64)
    covariances = torch.tensor([[[0.3, 0.1], [0.1, 0.2]], [[0.2, -0.05], [-0.05, 0.4]]], dtype=torch.float64)
    return MixtureDenoiser(weights, means, covariances, schedule=schedule).double()


def run(sampler, model, n=20, **options):
    return sampler.run(model, n, context=None, generator=Rows(0, n, dtype=torch.float64), **options)


@pytest.mark.parametrize("schedule", ["vp", "sub_vp", "edm", "ve"])
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_error_falls_with_the_order_as_steps_double(name, schedule):
    """The last point before all noise is taken off, against 1,024 of Heun's steps from the same noise."""
    (kind, order), model = DETERMINISTIC[name], two_humps(schedule)
    fine = run(Heun(1024, grid="log_snr"), model, trace=True).trace[-2]
    errors = []
    for steps in (48, 96, 192):
        found = run(kind(steps, grid="log_snr"), model, trace=True).trace[-2]
        errors.append(float((found - fine).square().mean().sqrt()))
    found = torch.tensor(errors).log2().diff().neg()
    assert bool((found > order - 0.15).all()), (errors, found)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_from_pure_noise(name):
    """alpha(1) = 0: the error of the first step is there once, and goes with the level that it ends at."""
    kind, model = DETERMINISTIC[name][0], two_humps("linear")
    draws = run(kind(300, grid="log_snr"), model, 4000).samples
    wanted = moments(model)
    torch.testing.assert_close(draws.mean(0), wanted[0], atol=0.06, rtol=0)
    torch.testing.assert_close(draws.T.cov(), wanted[1], atol=0.08, rtol=0)


def moments(model):
    """Mean and covariance of a mixture."""
    mean = (model.weights[:, None] * model.means).sum(0)
    within = torch.einsum("kde,ke,kfe->kdf", model.axes, model.variances, model.axes)
    rest = model.means - mean
    return mean, (model.weights[:, None, None] * (within + rest[:, :, None] * rest[:, None])).sum(0)


@pytest.mark.parametrize("schedule", ["vp", "edm"])
@pytest.mark.parametrize("name", STOCHASTIC)
def test_the_law_of_draws_with_fresh_noise(name, schedule):
    """5,000 draws: the mean within 4 of its standard errors plus what is left of the steps, the variances to 6 %."""
    model, n = two_humps(schedule), 5_000
    draws = run(STOCHASTIC[name](), model, n).samples
    mean, covariance = moments(model)
    error = 4 * (covariance.diagonal() / n).sqrt() + 0.01
    assert bool(((draws.mean(0) - mean).abs() < error).all()), draws.mean(0) - mean
    torch.testing.assert_close(draws.var(0), covariance.diagonal(), rtol=0.06, atol=0)


@pytest.mark.parametrize("make", [*(lambda k=k: k(6) for k, _ in DETERMINISTIC.values()), *STOCHASTIC.values()])
def test_draws_do_not_depend_on_the_batch_and_evaluations_are_counted(make):
    sampler, model, calls = make(), two_humps(), []
    sampler.steps = 6
    whole = model.sample(100, sampler=sampler, generator=0)
    torch.testing.assert_close(whole, model.sample(100, sampler=sampler, generator=0, batch_size=17))
    torch.testing.assert_close(whole[:30], model.sample(30, sampler=sampler, generator=0))
    ask = model._denoise
    object.__setattr__(model, "_denoise", lambda *a: calls.append(1) or ask(*a))
    draws = run(sampler, model, 5, trace=True)
    assert draws.evaluations == len(calls)
    assert draws.trace.shape == (7, 5, 2)
    assert torch.equal(draws.trace[-1], draws.samples)


def test_eighteen_levels_of_heun_are_thirty_five_strokes():
    assert run(Heun(18), two_humps("edm"), 3).evaluations == 35


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_levels_fall_from_noise_to_data(schedule, grid, count):
    levels = noise_levels(two_humps(schedule).schedule, count, grid)
    assert len(levels) == count
    assert levels[0].t == pytest.approx(1.0, abs=1e-9)
    assert all(a.t > b.t and a.sigma / max(a.alpha, 1e-300) > b.sigma / b.alpha for a, b in pairwise(levels))
    at_the_data = levels[-1].t == pytest.approx(0.0 if schedule in ("ve", "edm") else 1e-3, abs=1e-9)
    assert count == 1 or at_the_data == (grid != "open")


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_an_open_grid_is_one_that_goes_to_the_ends_without_them(schedule):
    of = two_humps(schedule).schedule
    pure = float(of(torch.ones((), dtype=torch.float64))[0]) == 0
    found = [level.t for level in noise_levels(of, 7, "open")]
    whole = [level.t for level in noise_levels(of, 9 if pure else 8, "log_snr")]
    assert found == pytest.approx([whole[0], *whole[2:-1]] if pure else whole[:-1])


@pytest.mark.parametrize("schedule", ["linear", "cosine", "vp", "ve", "edm"])  # sub_vp keeps most for its end
@pytest.mark.parametrize("strokes", [4, 8])
def test_few_strokes_go_further_on_an_open_grid(schedule, strokes):
    model = two_humps(schedule)
    end = run(DPMSolver(500), model).samples
    errors = {
        grid: float((run(DPMSolver(strokes, grid=grid), model).samples - end).square().mean())
        for grid in ("open", "log_snr")
    }
    assert errors["open"] < errors["log_snr"]


def test_the_grid_of_the_edm_paper():
    """Karras et al. 2022, eq. 5, 18 levels from 80 to 0.002."""
    i = torch.arange(18, dtype=torch.float64) / 17
    wanted = (80 ** (1 / 7) + i * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    for grid in ("karras", "time"):  # its schedule is that grid
        found = [level.sigma for level in noise_levels(two_humps("edm").schedule, 18, grid)]
        torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), wanted)


def test_one_stroke_is_the_mean_of_the_data_under_pure_noise():
    model = two_humps("linear")
    draws = run(DDIM(1), model, 5).samples
    torch.testing.assert_close(draws, moments(model)[0].expand(5, 2))


def test_a_level_is_what_its_schedule_says():
    level = Level.at(two_humps("cosine").schedule, 0.5)
    assert (level.alpha, level.sigma) == pytest.approx((0.5**0.5, 0.5**0.5))


@pytest.mark.parametrize(
    "make",
    [
        lambda: DDIM(0),
        lambda: DDIM(5, grid="cosine"),
        lambda: DDIM(5, eta=1.5),
        lambda: Heun(5, churn=-1.0),
        lambda: PredictorCorrector(5, ratio=0.0),
    ],
)
def test_wrong_options_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()
