"""Pointing back to where the noise came from is the score of the noisy law, of that width and no other."""

import math

import pytest
import torch
from torch import nn

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows
from fairway.models.classical.mixture import GMM
from fairway.models.energy.energy import EBM
from fairway.models.gan.gan import GAN
from fairway.objectives.denoising_score_matching import DenoisingScoreMatching
from fairway.training.fit import fit

N = 40_000
SIGMA = 0.5
WEIGHTS, MEANS = torch.tensor([0.6, 0.4]).double(), torch.tensor([[-1.0, 0.3], [1.0, -0.3]]).double()
COVARIANCE = torch.tensor([[0.2, 0.05], [0.05, 0.1]]).double()


def two_humps(n, seed=0):
    rows = Rows(seed, n, dtype=torch.float64)
    hump = (rows.uniform() > 0.6).long()
    return MEANS[hump] + rows.normal(2) @ torch.linalg.cholesky(COVARIANCE).mT


def mixture(variance, shift=0.0, weights=WEIGHTS):
    """The data's law after noise of that variance, perhaps a little off."""
    model = GMM(Event((2,)), components=2).double()
    model.set_components(weights, MEANS + shift, (COVARIANCE + variance * torch.eye(2)).expand(2, 2, 2).double())
    return model


def loss(model, u, sigma=SIGMA, seed=1, weight=None):
    rows = Rows(seed, len(u), dtype=u.dtype)
    return DenoisingScoreMatching(sigma).loss(Batch(u, None, weight), model, phase=Phase(), generator=rows).total


def test_the_formula():
    model, u, rows = mixture(0.3), two_humps(20), Rows(1, 20, dtype=torch.float64)
    e, weight = rows.normal(2), torch.arange(20.0).double()
    s = model._score(u + SIGMA * e).detach()
    wanted = weight @ (SIGMA * s + e).square().sum(1) / weight.sum() / 2 / 2
    assert float(loss(model, u, weight=weight).detach()) == pytest.approx(float(wanted), rel=1e-12)


class Width(nn.Module):
    """f(u) - u^2 / 2 = -a u^2 / 2: the energy model is N(0, 1 / a)."""

    def __init__(self, a):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, u):
        return (1 - self.a) * u.square() / 2


@pytest.mark.parametrize(("sigma", "variance"), [(0.3, 0.5), (1.0, 2.0)])
def test_among_gaussians_the_least_loss_has_the_variance_of_data_and_noise(sigma, variance):
    """J(a) = (sigma^2 a^2 (v + sigma^2) - 2 sigma^2 a + 1) / 2 at N(0, v): a parabola, lowest at 1 / (v + sigma^2)."""
    u, losses = variance**0.5 * Rows(0, N, dtype=torch.float64).normal(1), []
    for a in (0.0, 1.0, 2.0):
        losses.append(float(loss(EBM(Event((1,)), network=Width(a)).double(), u, sigma).detach()))
        wanted = (sigma**2 * a**2 * (variance + sigma**2) - 2 * sigma**2 * a + 1) / 2
        assert losses[-1] == pytest.approx(wanted, abs=0.05 * (1 + wanted))
    low, middle, high = losses
    lowest = 1 + (low - high) / (2 * (low + high - 2 * middle))
    assert 1 / lowest == pytest.approx(variance + sigma**2, rel=0.04)


def test_the_score_of_the_noisy_law_is_the_minimum():
    """Neither the clean law's, nor a wider one's, nor one a little off: on the same noise for all."""
    u = two_humps(N)
    best = float(loss(mixture(SIGMA**2), u).detach())
    for other in (mixture(0.0), mixture(2 * SIGMA**2), mixture(SIGMA**2, shift=0.1), mixture(SIGMA**2, shift=-0.1)):
        assert float(loss(other, u).detach()) > best + 1e-3


def test_its_excess_is_the_fisher_divergence_to_the_noisy_law():
    """J(s) - J(best) = sigma^2 E |s - s_noisy|^2 / 2 per entry (Vincent 2011, eq. 11), to the noise of the draws."""
    u, other, noisy = two_humps(N), mixture(SIGMA**2, shift=0.3), mixture(SIGMA**2)
    excess = float((loss(other, u) - loss(noisy, u)).detach())
    at = u + SIGMA * Rows(7, N, dtype=torch.float64).normal(2)
    fisher = (other._score(at) - noisy._score(at)).square().sum(1).mean().detach() / 2
    assert excess == pytest.approx(SIGMA**2 * float(fisher) / 2, rel=0.1)


def test_shares_of_modes_far_apart_are_not_seen():
    """What the module's docstring warns of: at a width far below the distance, wrong weights cost next to nothing."""
    u = two_humps(N)
    wrong, flat = torch.tensor([0.1, 0.9]).double(), []
    for sigma in (0.1, 1.0):
        far = (mixture(sigma**2, weights=w) for w in (wrong, WEIGHTS))
        flat.append(float((loss(next(far), u, sigma) - loss(next(far), u, sigma)).detach()))
    assert 0 < flat[0] < 0.2 * flat[1]


def test_an_energy_model_learns_the_noisy_score():
    u = two_humps(1500).float()
    options = {"sigma": SIGMA, "hidden": (32, 32), "steps": 600, "lr": 2e-3, "seed": 0, "preprocess": False}
    model = fit("ebm", u, objective="denoising_score_matching", **options)
    at = u[:500] + SIGMA * Rows(7, 500).normal(2)
    true = mixture(SIGMA**2)._score(at.double()).detach()
    error, start = ((score.detach() - true).square().mean() for score in (model.score(at), -at))
    assert float(error) < 0.25 * float(start)


def test_it_works_where_gradients_are_off_and_refuses_the_rest():
    with torch.no_grad():
        assert math.isfinite(float(loss(mixture(0.1), two_humps(10))))
    for sigma in (0.0, -0.1):
        with pytest.raises(ValueError, match=f"expected a positive sigma, got {sigma}"):
            DenoisingScoreMatching(sigma)
    with pytest.raises(CapabilityError, match=r"objective denoising_score_matching needs .* 'score'; gan"):
        DenoisingScoreMatching().check(GAN(Event((2,)), hidden=(4,)))
