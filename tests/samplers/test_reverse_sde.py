"""The reverse equation's coefficients, and the tutorial's facts about what a wrong start leaves behind."""

import pytest
import torch

from fairway.core.random import Rows
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.schedule import VE, schedule_named
from fairway.samplers.ddim import DDIM
from fairway.samplers.noise_grid import Level
from fairway.samplers.reverse_sde import PredictorCorrector, ReverseSDE, coefficients


def test_coefficients_are_the_papers():
    """Song et al. 2021: VP f = -beta / 2, g^2 = beta; sub-VP g^2 = beta (1 - e^(-2 B)); VE f = 0, g^2 = (sigma^2)'."""
    t, beta = 0.3, 0.1 + 0.3 * 19.9
    vp, sub, ve = (schedule_named(name) for name in ("vp", "sub_vp", "ve"))
    assert coefficients(vp, Level.at(vp, t)) == pytest.approx((-beta / 2, beta))
    alpha = Level.at(sub, t).alpha
    assert coefficients(sub, Level.at(sub, t)) == pytest.approx((-beta / 2, beta * (1 - alpha**4)))
    slope = (Level.at(ve, t + 1e-6).sigma ** 2 - Level.at(ve, t - 1e-6).sigma ** 2) / 2e-6
    assert coefficients(ve, Level.at(ve, t)) == pytest.approx((0.0, slope), rel=1e-6)


@pytest.mark.parametrize(("sampler", "power"), [(DDIM(400), 0.5), (ReverseSDE(2000, grid="log_snr"), 1.0)])
def test_what_a_wrong_start_leaves_behind(sampler, power):
    """x_0 ~ N(0, 1), noise of variance V at the end: a start whose mean is off by d ends off by d / (1 + V)^power.

    1/2 for the flow, 1 for the equation with noise, which forgets more.
    """
    one = torch.ones(1, dtype=torch.float64)
    model = MixtureDenoiser(one, one[:, None] * 0, one[:, None, None], schedule=VE(0.01, 3.0)).double()
    n, off = 4_000, 4.0
    noise = Rows(0, n, dtype=torch.float64).normal(1) * 10**0.5
    ends = [
        sampler.run(
            model, n, context=None, generator=Rows(1, n, dtype=torch.float64), init=noise + start
        ).samples.mean()
        for start in (0.0, off)
    ]
    assert float(ends[1] - ends[0]) == pytest.approx(off / 10**power, rel=0.02)


def test_the_corrector_keeps_a_gaussian_where_it_is():
    """Langevin steps of the paper's size have the level's law up to the size: variance 1 / (1 - a / 2 / S) at most."""
    one = torch.ones(1, dtype=torch.float64)
    model = MixtureDenoiser(one, one[:, None] * 0, one[:, None, None], schedule="vp").double()
    draws = PredictorCorrector(200, ratio=0.05).run(model, 5_000, context=None, generator=Rows(0, 5_000)).samples
    assert float(draws.var()) == pytest.approx(1.0, abs=0.06)
