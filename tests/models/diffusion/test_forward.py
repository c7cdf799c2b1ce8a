"""Noise at once and noise step by step have one law."""

from itertools import pairwise

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.models.classical.gaussian import Gaussian
from fairway.models.diffusion.edm import EDM
from fairway.models.diffusion.forward import noised, noising_path, transition
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.schedule import SCHEDULES
from fairway.samplers.noise_grid import Level

TIMES = (0.1, 0.35, 0.6, 1.0)
N = 20_000


def denoiser(schedule):
    weights, mean = torch.ones(1, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    return MixtureDenoiser(weights, mean, torch.eye(2).double().unsqueeze(0), schedule=schedule).double()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_steps_make_up_the_closed_form(schedule):
    """Factors multiply to alpha and variances add up to sigma^2, exactly."""
    levels = [Level(0.0, 1.0, 0.0), *(Level.at(denoiser(schedule).schedule, t) for t in (0.0, *TIMES))]
    factor, variance = 1.0, 0.0
    for here, there in pairwise(levels):
        f, v = transition(here, there)
        factor, variance = f * factor, f**2 * variance + v
        assert v >= 0
        assert (factor, variance) == pytest.approx((there.alpha, there.sigma**2), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_both_ways_have_the_same_moments(schedule):
    """20,000 noises of one point: the mean within 4.5 standard errors, variances to 4 %."""
    model, point = denoiser(schedule), torch.tensor([0.7, -1.3], dtype=torch.float64)
    x, path = point.expand(N, 2), noising_path(model, point.expand(N, 2), TIMES, generator=0)
    assert path.shape == (4, N, 2)
    for k, t in enumerate(TIMES):
        alpha, sigma = (float(c) for c in model.schedule(torch.tensor(t, dtype=torch.float64)))
        for u in (path[k], noised(model, x, t, generator=1)):
            assert float((u.mean(0) - alpha * point).abs().max()) < 4.5 * sigma / N**0.5
            torch.testing.assert_close(u.var(0), torch.full((2,), sigma**2).double(), rtol=0.04, atol=0)
    early, late = (path[k] - path[k].mean(0) for k in (1, 2))
    (a, s), (b, r) = (map(float, model.schedule(torch.tensor(t, dtype=torch.float64))) for t in (0.35, 0.6))
    shared = b / a * s**2  # the covariance of two levels of one path
    error = ((s * r) ** 2 + shared**2) ** 0.5 / N**0.5
    assert float(((early * late).mean(0) - shared).abs().max()) < 4.5 * error


def test_rows_have_levels_and_noise_of_their_own():
    model, x = denoiser("cosine"), torch.randn(100, 2, dtype=torch.float64)
    t = torch.linspace(0, 1, 100).double()
    u = noised(model, x, t, generator=3)
    torch.testing.assert_close(u[0], x[0])
    torch.testing.assert_close(u[40:41], noised(model, x, 40 / 99, generator=3)[40:41])
    assert torch.equal(noised(model, x[:30], t[:30], generator=3), u[:30])
    assert torch.equal(
        noising_path(model, x, TIMES, generator=3)[:, :30], noising_path(model, x[:30], TIMES, generator=3)
    )


def test_data_units_become_model_units_and_counts_are_dequantised():
    model = EDM(Event((3,), "integer", low=0, high=9), hidden=(8,)).double()
    u = noised(model, torch.full((1000, 3), 4), 0.0, generator=0)
    x = model.preprocess.to_data(u)
    assert bool(((x - 4).abs() <= 1).all()) and float(u.std()) > 0.2


def test_what_is_wrong_is_told():
    model, x = denoiser("vp"), torch.zeros(5, 2)
    for times in ([], [0.5, 0.5], [0.5, 0.2], [-0.1, 0.5], [0.5, 1.1], [float("nan")]):
        with pytest.raises(ValueError, match="times that rise"):
            noising_path(model, x, times)
    for t in (1.5, 1, torch.tensor([0.2, -0.1, 0, 0, 0])):
        with pytest.raises(ValueError, match="noise level"):
            noised(model, x, t)
    with pytest.raises(ValueError, match="expected x of shape"):
        noised(model, torch.zeros(2), 0.5)
    with pytest.raises(CapabilityError, match="noising"):
        noised(Gaussian(Event((2,))), x, 0.5)
    with pytest.raises(ValueError, match="noisier level"):
        transition(Level(0.5, 0.5, 0.5), Level(0.2, 0.8, 0.2))
