"""Sliced score matching is the Fisher divergence up to a constant, of energies and of scores under noise."""

import math

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.autoregressive.made import MADE
from fairway.models.classical.mixture import GMM
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.ncsn import NCSN
from fairway.models.energy.energy import EBM
from fairway.models.flow.nsf import NSF
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.gan.wgan_gp import WGANGP
from fairway.networks.mlp import MLP
from fairway.objectives.denoising import Denoising
from fairway.objectives.sliced_score_matching import SlicedScoreMatching
from fairway.training.fit import fit

N = 40_000
MEAN = torch.tensor([0.5, -0.3], dtype=torch.float64)
COVARIANCE = torch.tensor([[1.0, 0.4], [0.4, 0.7]], dtype=torch.float64)


class Bowl(torch.nn.Module):
    """f(u) with f(u) - |u|^2 / 2 = -(u - m)' P (u - m) / 2: the energy model is N(m, P^-1)."""

    def __init__(self, mean, precision):
        super().__init__()
        self.mean, self.precision = torch.nn.Parameter(mean.clone()), torch.nn.Parameter(precision.clone())

    def forward(self, u):
        rest = u - self.mean
        return ((u.square() - rest * (rest @ self.precision)).sum(1) / 2).unsqueeze(1)


def gaussian(mean=MEAN, covariance=COVARIANCE):
    return EBM(Event((2,)), network=Bowl(mean, torch.linalg.inv(covariance))).double()


def data(n=N, seed=0):
    return MEAN + Rows(seed, n, dtype=torch.float64).normal(2) @ torch.linalg.cholesky(COVARIANCE).mT


def loss(model, u, seed=1, **options):
    objective, rows = SlicedScoreMatching(**options), Rows(seed, len(u), dtype=torch.float64)
    return objective.loss(Batch(u), model, phase=Phase(), generator=rows).total


@pytest.mark.parametrize("options", [{}, {"variance_reduced": False}, {"directions": 3}])
@pytest.mark.parametrize(
    ("mean", "covariance"), [((0.0, 0.4), ((1.0, 0.4), (0.4, 0.7))), ((0.5, -0.3), ((1.0, -0.2), (-0.2, 1.5)))]
)
def test_it_is_the_fisher_divergence_up_to_a_constant(options, mean, covariance):
    """E |s - s_data|^2 / 2 of two Gaussians by hand, and the constant -E |s_data|^2 / 2 = -tr(C^-1) / 2; per entry."""
    mean, covariance = (torch.tensor(p, dtype=torch.float64) for p in (mean, covariance))
    p, q = torch.linalg.inv(covariance), torch.linalg.inv(COVARIANCE)
    offset, difference = p @ (mean - MEAN), q - p
    fisher = (offset.square().sum() + (difference @ COVARIANCE @ difference.mT).trace()) / 2
    wanted = float(fisher - q.trace() / 2) / 2
    assert fisher > 0.1
    assert float(loss(gaussian(mean, covariance), data(), **options).detach()) == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("reduced", [True, False])
def test_the_truth_is_stationary(reduced):
    """Gradients there are noise, of size 1 / sqrt(n); a tenth off they are not."""
    sizes = []
    for shift in (0.0, 0.2):
        model = gaussian(MEAN + shift)
        loss(model, data(), variance_reduced=reduced).backward()
        sizes.append(float(model.network.mean.grad.norm()))
        assert shift or float(model.network.precision.grad.norm()) < 8 / math.sqrt(N)
    assert sizes[0] < 8 / math.sqrt(N) < 0.05 < sizes[1]


def test_the_norm_without_a_direction_has_less_variance():
    model, u = gaussian(MEAN + 1.0), data(64)
    plain, reduced = (
        torch.stack([loss(model, u, seed, variance_reduced=r).detach() for seed in range(300)]) for r in (False, True)
    )
    assert float(plain.var() / reduced.var()) > 1.5
    assert float(plain.mean() - reduced.mean()) == pytest.approx(0, abs=5 * float(plain.std()) / math.sqrt(300))


def test_an_energy_model_learns_the_score():
    """Two humps: the error of the score, against the exact one, falls to a fifth of that of the reference N(0, I)."""
    weights, means = torch.tensor([0.6, 0.4]), torch.tensor([[-1.0, 0.3], [1.0, -0.3]])
    exact = MixtureDenoiser(weights, means, 0.2 * torch.eye(2).expand(2, 2, 2), schedule="linear")
    rows = Rows(3, 1000)
    u = means[(rows.uniform() > 0.6).long()] + 0.2**0.5 * rows.normal(2)
    network = MLP(2, 1, (32, 32), residual=True)  # smooth: a thousand rows do not tell fast waves what to do
    model = fit("ebm", u, objective="sliced_score_matching", network=network, steps=500, seed=0, preprocess=False)
    held, zero = u[:400], torch.full((400,), 1e-3)
    true = exact._score_at(held, zero)
    error, start = ((score.detach() - true).square().mean() for score in (model.score(held), -held))
    assert float(error) < 0.2 * float(start)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RealNVP(Event((2,)), transforms=2, hidden=(8,)),
        lambda: NSF(Event((2,)), transforms=2, hidden=(8,)),
        lambda: GMM(Event((2,)), components=2),
        lambda: MADE(Event((2,)), hidden=(8,)),
    ],
)
def test_any_density_can_be_asked(make):
    with seeded(0):
        model = make().double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.sin(torch.arange(parameter.numel()).double()).reshape(parameter.shape))
    found = loss(model, data(50))
    if any(parameter.requires_grad for parameter in model.parameters()):
        found.backward()
        slopes = [p.grad for p in model.parameters() if p.grad is not None]
        assert slopes and all(bool(s.isfinite().all()) for s in slopes) and any(bool(s.abs().max() > 0) for s in slopes)
    assert math.isfinite(float(found.detach()))


class Share(torch.nn.Module):
    """The noise of N(0, 1) under VE(0.01, 10) times k: the model's own line, less 1 - k of it."""

    def __init__(self):
        super().__init__()
        self.k = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, u, t, context=None):
        sigma = (0.01 * 1000**t)[:, None]
        return (1 - self.k) * sigma * u


def test_under_noise_it_has_the_minimiser_of_denoising():
    """Both losses are parabolas in k, whose lowest point is 1; half of the one and the other differ by a constant."""
    model, u, curves = NCSN(Event((1,)), network=Share()).double(), Rows(4, N, dtype=torch.float64).normal(1), []
    for objective in (Denoising(), SlicedScoreMatching()):
        losses = []
        for k in (0.0, 1.0, 2.0):
            model.network.k.data.fill_(k)
            rows = Rows(5, N, dtype=torch.float64)
            losses.append(float(objective.loss(Batch(u), model, phase=Phase(), generator=rows).total.detach()))
        curves.append(losses)
    for low, middle, high in curves:
        assert 1 + (low - high) / (2 * (low + high - 2 * middle)) == pytest.approx(1, abs=0.03)
    depth, sliced = (a - b for a, b, _ in curves)
    assert sliced == pytest.approx(depth / 2, rel=0.05)


def test_it_works_where_gradients_are_off_and_needs_a_score():
    with torch.no_grad():
        assert math.isfinite(float(loss(gaussian(), data(20)).detach()))
    with pytest.raises(CapabilityError, match="score"):
        SlicedScoreMatching().check(WGANGP(Event((2,)), hidden=(8,)))
    with pytest.raises(ValueError, match="directions"):
        SlicedScoreMatching(directions=0)
