"""Annealed Langevin dynamics: its moves are the paper's, its law is the data's, its rows are alone."""

import math

import pytest
import torch

from fairway.core.random import Rows
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.schedule import VE
from fairway.samplers.annealed_langevin import AnnealedLangevin


def two_humps(schedule):
    weights = torch.tensor([0.65, 0.35], dtype=torch.float64)
    means = torch.tensor([[-0.8, 0.3], [1.1, -0.6]], dtype=torch.float64)
    covariances = torch.tensor([[[0.3, 0.1], [0.1, 0.2]], [[0.2, -0.05], [-0.05, 0.4]]], dtype=torch.float64)
    return MixtureDenoiser(weights, means, covariances, schedule=schedule).double()


def standard(schedule):
    one = torch.ones(1, dtype=torch.float64)
    return MixtureDenoiser(one, one[:, None] * 0, one[:, None, None], schedule=schedule).double()


def run(sampler, model, n=20, **options):
    return sampler.run(model, n, context=None, generator=Rows(0, n, dtype=torch.float64), **options)


@pytest.mark.parametrize(("schedule", "levels"), [(VE(0.01, 10.0), 20), ("vp", 25), ("linear", 30)])
def test_the_law_of_draws(schedule, levels):
    """2,000 draws: means within 4 standard errors plus what the steps leave, standard deviations to 5 %."""
    model, n = two_humps(schedule), 2_000
    draws = run(AnnealedLangevin(levels, 100), model, n).samples
    mean = (model.weights[:, None] * model.means).sum(0)
    within = torch.einsum("kde,ke,kde->kd", model.axes, model.variances, model.axes)
    variance = (model.weights[:, None] * (within + (model.means - mean).square())).sum(0)
    assert bool(((draws.mean(0) - mean).abs() < 4 * (variance / n).sqrt() + 0.03).all()), draws.mean(0) - mean
    torch.testing.assert_close(draws.std(0), variance.sqrt(), rtol=0.05, atol=0)
    right = float((draws @ (model.means[1] - model.means[0]) > 0.345).double().mean())  # the humps' midline
    exact = float((model_draws(model) @ (model.means[1] - model.means[0]) > 0.345).double().mean())
    assert right == pytest.approx(exact, abs=0.04)


def model_draws(model, n=20_000):
    """Draws of the mixture itself."""
    rows = Rows(9, n, dtype=torch.float64)
    which = (rows.uniform() > model.weights[0]).long()
    turned = model.variances[which].sqrt() * rows.normal(2)
    return model.means[which] + torch.einsum("nde,ne->nd", model.axes[which], turned)


def test_a_level_has_the_variance_that_its_steps_make():
    """N(0, 1) under noise of variance 1, untested steps a = r: variance S / (1 - a / 4S) with S = 2."""
    draws = run(AnnealedLangevin(1, 60, step=1.0, denoise=False), standard(VE(0.5, 1.0)), 20_000).samples
    assert float(draws.var()) == pytest.approx(2 / (1 - 1 / 8), rel=0.03)


def test_a_move_is_algorithm_1():
    """u + a/2 score + sqrt(a) z with a = epsilon sigma_i^2 / sigma_L^2, epsilon = r sigma_L^2; at sigma 4 and 1."""
    model, u = standard(VE(1.0, 4.0)), wide()
    found = run(AnnealedLangevin(2, 1, step=0.3, denoise=False), model, init=u).samples
    noise, epsilon = Rows(0, 20, dtype=torch.float64).spawn(1), 0.3 * 1.0**2
    for sigma in (4.0, 1.0):
        a = epsilon * sigma**2 / 1.0**2
        u = u - a / 2 * u / (1 + sigma**2) + math.sqrt(a) * noise.normal(1)
    torch.testing.assert_close(found, u)
    torch.testing.assert_close(run(AnnealedLangevin(2, 1, step=0.3), model, init=wide()).samples, u / 2)


def wide():
    """Points of the scale of the first level."""
    return Rows(5, 20, dtype=torch.float64).normal(1) * 4


def test_on_a_schedule_that_shrinks_the_data_moves_are_those_of_what_is_left():
    """u / alpha at sigma / alpha: the same numbers as without shrinking, where the levels' ratios are the same."""

    class Shrunk(VE):
        def __call__(self, t):
            _, sigma = super().__call__(t)
            alpha = 1 / (1 + t)
            return alpha, alpha * sigma

        derivatives, at_log_snr = None, VE.at_log_snr

    u, sampler = wide(), AnnealedLangevin(5, 3, denoise=False)
    plain = run(sampler, standard(VE(0.1, 4.0)), init=u).samples
    shrunk = run(sampler, standard(Shrunk(0.1, 4.0)), init=u / 2).samples
    torch.testing.assert_close(plain, shrunk)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_pure_noise_is_not_scaled_to_the_next_level(schedule):
    """alpha(1) is 0, or 6e-17 in floating point: over it, points would be thrown 1e13 away."""
    path = run(AnnealedLangevin(4, 1, denoise=False), standard(schedule), trace=True).trace
    assert float(path[:2].abs().max()) < 10


def test_draws_do_not_depend_on_the_batch_and_evaluations_are_counted():
    sampler, model, calls = AnnealedLangevin(4, 3), two_humps("vp"), []
    whole = model.sample(100, sampler=sampler, generator=0)
    torch.testing.assert_close(whole, model.sample(100, sampler=sampler, generator=0, batch_size=17))
    torch.testing.assert_close(whole[:30], model.sample(30, sampler=sampler, generator=0))
    ask = model._denoise
    object.__setattr__(model, "_denoise", lambda *a: calls.append(1) or ask(*a))
    for denoise in (True, False):
        sampler.denoise = denoise
        calls.clear()
        draws = run(sampler, model, 5, trace=True)
        assert draws.evaluations == len(calls) == 12 + denoise
        assert draws.trace.shape == (5, 5, 2)
        assert torch.equal(draws.trace[-1], draws.samples)


@pytest.mark.parametrize("options", [{"levels": 0}, {"steps": 0}, {"step": 0.0}, {"step": math.inf}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        AnnealedLangevin(**options)
