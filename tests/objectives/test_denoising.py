"""One loss: its minimum is the conditional mean, and the law of t is the paper's."""

import math

import pytest
import torch

from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.prediction import PREDICTIONS
from fairway.models.diffusion.schedule import schedule_named
from fairway.objectives.denoising import Denoising


def gaussian(prediction, shift=0.0):
    """The exact denoiser of N(0, 1), or one that is off by a constant."""
    one = torch.ones(1, dtype=torch.float64)
    model = MixtureDenoiser(
        one, one[:, None] * 0, one[:, None, None], schedule="cosine", prediction=prediction
    ).double()
    exact = model._network
    object.__setattr__(model, "_network", lambda u, t, c: exact(u, t, c) + shift)
    return model


def loss(model, n=20_000):
    rows = Rows(0, n, dtype=torch.float64)
    u = Rows(1, n, dtype=torch.float64).normal(1)
    return float(Denoising().loss(Batch(u, None), model, phase=Phase(), generator=rows).total)


@pytest.mark.parametrize("prediction", [name for name in PREDICTIONS if name != "score"])
def test_the_exact_denoiser_is_the_minimum(prediction):
    """A constant off costs its square: the residual of a conditional mean is orthogonal to what u_t tells."""
    best = loss(gaussian(prediction))
    assert loss(gaussian(prediction, 0.1)) - best == pytest.approx(0.01, abs=0.005)
    assert loss(gaussian(prediction, -0.1)) - best == pytest.approx(0.01, abs=0.005)


def test_the_minimum_for_the_noise_is_its_conditional_variance():
    """Var[eps | u_t] = alpha^2 under the cosine schedule for N(0, 1); over uniform t its mean is 1/2."""
    assert loss(gaussian("noise")) == pytest.approx(0.5, abs=0.02)


def test_the_law_of_levels():
    schedule = schedule_named("edm")
    t = Denoising("log_normal")._draw_times(schedule, Rows(0, 20_000, dtype=torch.float64))
    log_sigma = schedule(t)[1].log()
    assert float(log_sigma.mean()) == pytest.approx(-1.2, abs=5 * 1.2 / math.sqrt(20_000))
    assert float(log_sigma.std()) == pytest.approx(1.2, rel=0.02)
    t = Denoising()._draw_times(schedule, Rows(0, 20_000, dtype=torch.float64))
    assert 1e-3 <= float(t.min()) < 2e-3 and float(t.max()) < 1
    assert float(t.mean()) == pytest.approx(0.5, abs=0.01)


def test_another_law_is_refused():
    with pytest.raises(ValueError, match="log_normal"):
        Denoising("lognormal")
