"""The same paths as diffusers' schedulers, samplers by other hands: one exact denoiser, one start, one grid of levels.

Their step t = 0, ..., 999 is our level (t + 1) / 1000. A scheduler that walks along sigma / alpha holds x = u / alpha.
DDIM and DDPM take the shares of data in float64, and then agree to 1e-9; the others keep sigmas and states in float32.
The network is asked at the level of their sigma: their "timestep" of a level between two whole steps is rounded.
"""

import math
from itertools import pairwise

import pytest
import torch

from fairway.core.random import Rows
from fairway.models.diffusion.discrete import Discrete, linear_betas
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.schedule import EDM
from fairway.samplers.ddim import DDIM, Ancestral
from fairway.samplers.dpm_solver import DPMSolver, DPMSolverSDE
from fairway.samplers.heun import Heun
from fairway.samplers.noise_grid import Level
from fairway.samplers.ode import ProbabilityFlow

diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs, under numpy 2

STEPS, ROWS = 1000, 50
BETAS = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
SINGLE = {"rtol": 1e-5, "atol": 1e-5}  # float32
CLEAN = Level(0.0, 1.0, 0.0)


@pytest.fixture(scope="module")
def discrete():
    return Discrete(linear_betas(STEPS))


@pytest.fixture(scope="module")
def model(discrete):
    """Three correlated components, seen through a network that says the noise."""
    return mixture(discrete)


def mixture(schedule, prediction="noise"):
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    means = torch.tensor([[-1.0, 0.4], [0.9, 0.8], [0.6, -1.2]], dtype=torch.float64)
    roots = torch.tensor(
        [[[0.5, 0.0], [0.2, 0.3]], [[0.3, 0.0], [-0.2, 0.4]], [[0.4, 0.0], [0.1, 0.2]]], dtype=torch.float64
    )
    return MixtureDenoiser(weights, means, roots @ roots.mT, schedule=schedule, prediction=prediction).double()


@pytest.fixture
def u():
    return Rows(0, ROWS, dtype=torch.float64).normal(2)


def shares():
    return (1 - torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64)).cumprod(0)


def answer(model, u, t):
    """E[u_0 | u_t] and E[eps | u_t]."""
    return model.expected(u.double(), torch.full((len(u),), float(t), dtype=torch.float64))


def at_ratio(schedule, sigma):
    """The t of sigma / alpha."""
    return schedule.at_log_snr(-2 * sigma.double().log())


def ours(sampler, model, u):
    """Our whole sampler, its own grid included."""
    rows = Rows(1, len(u), dtype=torch.float64)
    return sampler.run(model, len(u), context=None, generator=rows, init=u).samples


def on_levels(sampler, model, u, levels, noise=None):
    """Our rule along given levels."""
    rule = sampler.rule(lambda u, level: answer(model, u, level.t)[0], noise, model.schedule)
    for here, there in pairwise(levels):
        u = rule(u, here, there)
    return u


def levels_of(schedule, timesteps):
    """Our levels at their steps, and the clean end."""
    return [*(Level.at(schedule, (t + 1) / STEPS) for t in timesteps), CLEAN]


def test_levels_are_theirs(discrete):
    theirs = shares()
    t = torch.arange(1, STEPS + 1, dtype=torch.float64) / STEPS
    torch.testing.assert_close(discrete(t)[0].square(), theirs, rtol=1e-11, atol=0)
    single = diffusers.DDPMScheduler(**BETAS).alphas_cumprod.double()
    torch.testing.assert_close(single, theirs, rtol=1e-4, atol=0)  # a thousand factors in float32


# ------------------------------------------------------------------------------------------------- DDIM and ancestral
def whole_steps(kind, count, **options):
    """A scheduler of whole steps with its shares in float64."""
    scheduler = kind(**BETAS, clip_sample=False, **options)
    scheduler.alphas_cumprod = shares()
    scheduler.set_timesteps(count)
    return scheduler


def walked(scheduler, model, u, **options):
    for t in scheduler.timesteps.tolist():
        given = {key: value() for key, value in options.items()}
        u = scheduler.step(answer(model, u, (t + 1) / STEPS)[1], t, u, **given).prev_sample
    return u


@pytest.mark.parametrize("count", [5, 10, 50, 200])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_ddim(spacing, count, model, discrete, u):
    scheduler = whole_steps(diffusers.DDIMScheduler, count, timestep_spacing=spacing)
    found = on_levels(DDIM(eta=0.0), model, u, levels_of(discrete, scheduler.timesteps.tolist()))
    torch.testing.assert_close(found, walked(scheduler, model, u), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_ddim_with_noise(eta, model, discrete, u):
    scheduler = whole_steps(diffusers.DDIMScheduler, 50)
    theirs, mine = (Rows(2, ROWS, dtype=torch.float64) for _ in range(2))
    levels = levels_of(discrete, scheduler.timesteps.tolist())
    found = on_levels(DDIM(eta=eta), model, u, levels, lambda: mine.normal(2))
    wanted = walked(scheduler, model, u, eta=lambda: eta, variance_noise=lambda: theirs.normal(2))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [50, 1000])
def test_ancestral(count, model, discrete, u):
    scheduler = whole_steps(diffusers.DDPMScheduler, count)
    theirs, mine = (torch.Generator().manual_seed(3) for _ in range(2))
    levels = levels_of(discrete, scheduler.timesteps.tolist())
    noise = lambda: torch.randn(ROWS, 2, generator=mine, dtype=torch.float64)  # noqa: E731
    found = on_levels(Ancestral(), model, u, levels, noise)
    wanted = walked(scheduler, model, u, generator=lambda: theirs)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


# ------------------------------------------------------------------- where theirs leaves its grid, and ours does not
def landings(scheduler):
    """How many of their DDIM steps end elsewhere than the next one begins: t - 1000 // K is not the next t."""
    times, stride = scheduler.timesteps.tolist(), STEPS // scheduler.num_inference_steps
    return sum(t - stride != s for t, s in pairwise(times))


@pytest.mark.parametrize(("count", "astray"), [(7, 5), (30, 10), (150, 99)])
def test_ddim_at_counts_that_do_not_divide_a_thousand(count, astray, model, discrete, u):
    """Their DDIM with trailing steps lands at t - 1000 // K and takes that for the next step, which is not there."""
    scheduler = whole_steps(diffusers.DDIMScheduler, count, timestep_spacing="trailing")
    assert landings(scheduler) == astray
    assert landings(whole_steps(diffusers.DDIMScheduler, 50, timestep_spacing="trailing")) == 0
    on_grid = on_levels(DDIM(eta=0.0), model, u, levels_of(discrete, scheduler.timesteps.tolist()))
    assert float((walked(scheduler, model, u) - on_grid).abs().max()) > 3e-3


@pytest.mark.parametrize(("count", "first"), [(7, 852), (30, 957), (600, 599)])
def test_leading_steps_at_such_counts_begin_below_the_noise(count, first, model, discrete, u):
    """Their other spacing stays on its grid, which covers K (1000 // K) of the thousand steps."""
    scheduler = whole_steps(diffusers.DDIMScheduler, count, timestep_spacing="leading")
    assert landings(scheduler) == 0 and int(scheduler.timesteps[0]) == first
    on_grid = on_levels(DDIM(eta=0.0), model, u, levels_of(discrete, scheduler.timesteps.tolist()))
    torch.testing.assert_close(on_grid, walked(scheduler, model, u), rtol=1e-9, atol=1e-9)


def test_our_order_does_not_depend_on_what_divides_a_thousand(model, u):
    """K times the distance to the end of the flow is a constant of ours from 25 steps on; theirs grows fivefold."""
    end = ours(Heun(2000, grid="log_snr"), model, u)

    def scaled(found, count):
        return count * float((found - end).square().mean().sqrt())

    counts = (25, 30, 50, 70, 150, 300)
    mine = [scaled(ours(DDIM(count, grid="time"), model, u), count) for count in counts]
    assert max(mine) < 1.1 * min(mine)
    theirs = {
        count: scaled(walked(whole_steps(diffusers.DDIMScheduler, count, timestep_spacing="trailing"), model, u), count)
        for count in counts
    }
    assert theirs[50] == pytest.approx(mine[2], rel=0.1)
    assert theirs[150] > 3 * mine[4] and theirs[300] > 5 * mine[5]


# -------------------------------------------------------------------------------- solvers of the flow: DPM, Euler, Heun
@pytest.mark.parametrize("count", [8, 20, 50])
@pytest.mark.parametrize("kind", ["dpmsolver++", "sde-dpmsolver++"])
def test_dpm_solver_on_equal_steps_of_the_log_ratio(kind, count, model, discrete, u):
    """Our whole samplers: their "lu" grid is our `log_snr`, ends included."""
    scheduler = diffusers.DPMSolverMultistepScheduler(**BETAS, algorithm_type=kind, use_lu_lambdas=True)
    scheduler.alphas_cumprod = shares()
    scheduler.set_timesteps(count)
    start, sde, noise = u, kind.startswith("sde"), Rows(1, ROWS, dtype=torch.float64).spawn(1)
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas[:-1], strict=True):
        eps = answer(model, u, at_ratio(discrete, sigma))[1]
        # the last step, to sigma = 0, has no noise left to take: neither does ours draw any
        more = {"variance_noise": noise.normal(2)} if sde else {}
        u = scheduler.step(eps, t, u, **more).prev_sample.double()
    sampler = DPMSolverSDE(count) if sde else DPMSolver(count, grid="log_snr")
    torch.testing.assert_close(ours(sampler, model, start), u, **SINGLE)


@pytest.mark.parametrize("count", [10, 50])
def test_dpm_solver_on_whole_steps(count, model, discrete, u):
    scheduler = diffusers.DPMSolverMultistepScheduler(**BETAS, timestep_spacing="trailing")
    scheduler.alphas_cumprod = shares()
    scheduler.set_timesteps(count)
    levels, start = levels_of(discrete, scheduler.timesteps.tolist()), u
    for t in scheduler.timesteps:
        u = scheduler.step(answer(model, u, (float(t) + 1) / STEPS)[1], t, u).prev_sample.double()
    found = on_levels(DPMSolver(), model, start, levels[:-1])
    torch.testing.assert_close(answer(model, found, levels[-2].t)[0], u, **SINGLE)


def along_ratio(scheduler, model, u):
    """A scheduler that walks along sigma / alpha from u at its first level."""
    alpha = float(model.schedule(at_ratio(model.schedule, scheduler.sigmas[0]))[0])
    x = u / alpha
    for t in scheduler.timesteps:
        seen = scheduler.scale_model_input(x, t)
        sigma = scheduler.sigmas[scheduler.step_index]
        x = scheduler.step(answer(model, seen, at_ratio(model.schedule, sigma))[1], t, x).prev_sample.double()
    return x


@pytest.mark.parametrize("count", [10, 20, 50])
@pytest.mark.parametrize(("kind", "sampler"), [("EulerDiscreteScheduler", DDIM), ("HeunDiscreteScheduler", Heun)])
def test_euler_and_heun_on_karras_levels(kind, sampler, count, model, u):
    """Our whole samplers, on Karras' grid of the discrete schedule; Euler's steps along the ratio are DDIM's."""
    scheduler = getattr(diffusers, kind)(**BETAS, use_karras_sigmas=True)
    scheduler.alphas_cumprod = shares()
    scheduler.set_timesteps(count)
    found = ours(sampler(count, grid="karras"), model, u)
    torch.testing.assert_close(found, along_ratio(scheduler, model, u), **SINGLE)


@pytest.mark.parametrize("count", [10, 50])
@pytest.mark.parametrize(("kind", "sampler"), [("EulerDiscreteScheduler", DDIM), ("HeunDiscreteScheduler", Heun)])
def test_euler_and_heun_on_whole_steps(kind, sampler, count, model, discrete, u):
    scheduler = getattr(diffusers, kind)(**BETAS, timestep_spacing="leading")
    scheduler.alphas_cumprod = shares()
    scheduler.set_timesteps(count)
    times = list(dict.fromkeys(scheduler.timesteps.tolist()))  # Heun's come twice
    levels = levels_of(discrete, times)
    found = on_levels(sampler(), model, u, levels[:-1])
    torch.testing.assert_close(answer(model, found, levels[-2].t)[0], along_ratio(scheduler, model, u), **SINGLE)


@pytest.mark.parametrize("count", [10, 18, 50])
def test_edm_s_euler(count, u):
    """Our whole sampler on EDM's schedule; the network says what is left beside c_skip x, for data of scale 1."""
    model = mixture(EDM(), "edm")
    scheduler = diffusers.EDMEulerScheduler(sigma_data=1.0)
    scheduler.set_timesteps(count)
    start = u * 80.0
    x = start
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas[:-1], strict=True):
        seen = scheduler.scale_model_input(x, t).double()
        torch.testing.assert_close(seen, x / math.sqrt(1 + float(sigma) ** 2), **SINGLE)
        level = at_ratio(model.schedule, sigma).clamp(0, 1).expand(ROWS)
        x = scheduler.step(model._network(x, level, None), t, x).prev_sample.double()
    for grid in ("time", "karras"):
        torch.testing.assert_close(ours(DDIM(count, grid=grid), model, start), x, **SINGLE)


# ------------------------------------------------------------------------------------------------------ flow matching
@pytest.mark.parametrize("count", [10, 25, 100])
@pytest.mark.parametrize("grid", ["theirs", "pipelines"])
def test_flow_matching_s_euler(grid, count, u):
    """Their own grid, K levels from 1 to 1 / 1000 and then 0, is DDIM's in time on straight lines; pipelines hand in
    equal steps of 1 / K, and that is our probability flow by Euler."""
    model, scheduler = mixture("linear", "velocity"), diffusers.FlowMatchEulerDiscreteScheduler()
    if grid == "theirs":
        scheduler.set_timesteps(count)
    else:
        scheduler.set_timesteps(sigmas=torch.linspace(1.0, 1 / count, count).tolist())
    start, sampler = u, DDIM(count, grid="time") if grid == "theirs" else ProbabilityFlow(count, method="euler")
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas[:-1], strict=True):
        if grid == "theirs":  # D and eps at t = 1, where our velocity looks a thousandth below
            data, noise = answer(model, u, sigma)
            velocity = noise - data
        else:
            velocity = model._velocity(u, sigma.double().expand(ROWS))
        u = scheduler.step(velocity, t, u).prev_sample.double()
    torch.testing.assert_close(ours(sampler, model, start), u, **SINGLE)
