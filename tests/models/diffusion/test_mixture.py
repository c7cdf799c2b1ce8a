"""The exact denoiser: Bayes by Monte Carlo and by quadrature, Tweedie, its own law at every level."""

import math

import pytest
import torch

from fairway.core.random import Rows
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.schedule import SCHEDULES

T = torch.linspace(1e-3, 1 - 1e-3, 25, dtype=torch.float64)


def test_bayes_on_a_grid():
    """E[u_0 | u_t] in one dimension by summing over u_0."""
    weights, means, variances = torch.tensor([0.7, 0.3]), torch.tensor([-1.0, 1.5]), torch.tensor([0.2, 0.5])
    model = MixtureDenoiser(weights, means[:, None], variances[:, None, None], schedule="cosine").double()
    points = torch.linspace(-8, 8, 40_001, dtype=torch.float64)
    prior = sum(
        w * torch.exp(-((points - m) ** 2) / (2 * v)) / v.sqrt()
        for w, m, v in zip(weights, means, variances, strict=True)
    )
    for t in (0.1, 0.5, 0.9):
        alpha, sigma = math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)
        for u in (-2.0, 0.3, 1.7):
            share = prior * torch.exp(-((u - alpha * points) ** 2) / (2 * sigma**2))
            wanted = float((share * points).sum() / share.sum())
            found = model.denoise(torch.tensor([[u]], dtype=torch.float64), t)
            assert float(found) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_score_is_the_gradient_of_the_law_at_its_level(schedule, mixture):
    """Vincent 2011 and Tweedie: what regression on noise finds is the gradient of log p_t."""
    model = MixtureDenoiser(*mixture, schedule=schedule).double()
    u = (Rows(0, len(T), dtype=torch.float64).normal(2) * model._prior_scale(T)).requires_grad_()
    (slope,) = torch.autograd.grad(model.log_prob_at(u, T).sum(), u)
    torch.testing.assert_close(model._score_at(u, T), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("schedule", ["linear", "vp"])
def test_fokker_planck(schedule, mixture):
    """The law moves with the velocity: d log p_t / dt = -div v - v . grad log p_t."""
    model = MixtureDenoiser(*mixture, schedule=schedule).double()
    t = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    u = Rows(3, 3, dtype=torch.float64).normal(2).requires_grad_()
    v = model._velocity(u, t)
    divergence = sum(torch.autograd.grad(v[:, i].sum(), u, retain_graph=True)[0][:, i] for i in range(2))
    rate = (model.log_prob_at(u, t + 1e-5) - model.log_prob_at(u, t - 1e-5)) / 2e-5
    torch.testing.assert_close(rate, -divergence - (v * model._score_at(u, t)).sum(1), rtol=1e-6, atol=1e-6)


def test_wrong_mixtures_are_refused(mixture):
    weights, means, covariances = mixture
    for wrong in (
        (weights[:2], means, covariances),
        (-weights, means, covariances),
        (weights, means, -covariances),
        (weights, means[:, :1], covariances),
    ):
        with pytest.raises(ValueError, match="expected"):
            MixtureDenoiser(*wrong)
