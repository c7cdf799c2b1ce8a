"""Noise and back: the exact map of a Gaussian, there and back on every schedule, and the density of the same flow."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.diffusion.ddpm import DDPM
from fairway.models.diffusion.density import density
from fairway.models.diffusion.edm import EDM
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.models.diffusion.interpolant import Interpolant
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.ncsn import NCSN
from fairway.models.diffusion.score_sde import ScoreSDE
from fairway.models.registry import models
from fairway.testing.latents import log_abs_det
from fairway.training.fit import fit

NETWORKS = [
    ("flow_matching", {}),
    ("flow_matching", {"schedule": "cosine"}),
    ("edm", {}),
    ("score_sde", {}),
    ("score_sde", {"schedule": "ve"}),
    ("ncsn", {}),
    ("ddpm", {"levels": 100}),
    ("interpolant", {}),
]
SCHEDULES = ["linear", "cosine", "vp", "sub_vp", "ve", "edm"]


def drawn(mixture, n=200):
    """Rows of the mixture itself."""
    weights, means, covariances = mixture
    rows = Rows(0, n, dtype=torch.float64)
    which = torch.searchsorted(weights.cumsum(0), rows.uniform()).clamp(max=len(weights) - 1)
    return means[which] + torch.einsum("nij,nj->ni", torch.linalg.cholesky(covariances)[which], rows.normal(2))


def largest(difference):
    return float(difference.abs().max())


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_latent_of_a_gaussian_is_its_standard_score(schedule):
    """u_t is N(alpha m, alpha^2 s^2 + sigma^2) all the way, and the flow keeps a point at its number of deviations."""
    mean, std, one = 0.7, 0.4, torch.ones(1, dtype=torch.float64)
    model = MixtureDenoiser(one, mean * one[:, None], std**2 * one[:, None, None], schedule=schedule).double()
    x = torch.linspace(-1, 3, 50, dtype=torch.float64).unsqueeze(1)
    alpha, sigma = model.schedule(torch.tensor([0.0, 1.0], dtype=torch.float64))
    (m, late_m), (s, late_s) = alpha * mean, torch.hypot(alpha * std, sigma)
    wanted = (late_m + late_s * (x - m) / s) / torch.hypot(alpha[1], sigma[1])
    torch.testing.assert_close(model.encode(x), wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(model.decode(wanted), x, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float64, 1e-6), (torch.float32, 1e-5)])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_there_and_back(schedule, dtype, most, mixture):
    model, x = MixtureDenoiser(*mixture, schedule=schedule).to(dtype), drawn(mixture).to(dtype)
    z = Rows(1, 200, dtype=dtype).normal(2)
    assert largest(model.decode(model.encode(x)) - x) < most
    assert largest(model.encode(model.decode(z)) - z) < most


@pytest.mark.parametrize("schedule", ["linear", "edm"])
def test_steps_are_fine_enough(schedule, mixture):
    model, x = MixtureDenoiser(*mixture, schedule=schedule).double(), drawn(mixture)
    z = model.encode(x)
    model.latent_steps = 600
    assert largest(z - model.encode(x)) < 2e-6


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_there_and_back_along_a_trained_network(name, options, mixture):
    x = drawn(mixture, 300)
    model = fit(models[name](Event((2,)), hidden=(32, 32), **options), x, steps=150, seed=0, progress=False)
    assert largest((model.decode(model.encode(x)) - x) / x.std(0)) < 1e-4
    z = Rows(1, 200).normal(2)
    assert largest(model.encode(model.decode(z)) - z) < 1e-4


def test_noise_decodes_to_the_data(mixture):
    """Draws and decoded noise have one law: the mean log density of both, against its spread."""
    model, n = MixtureDenoiser(*mixture, schedule="edm").double(), 4000
    decoded = model.decode(Rows(1, n, dtype=torch.float64).normal(2))
    own, found = (model.log_prob_at(x, x.new_zeros(n)) for x in (drawn(mixture, n), decoded))
    assert float(found.mean()) == pytest.approx(float(own.mean()), abs=4 * float(own.std()) * (2 / n) ** 0.5)
    weights, means, _ = mixture
    torch.testing.assert_close(decoded.mean(0), (weights[:, None] * means).sum(0), atol=0.06, rtol=0)


@pytest.mark.parametrize(
    "model_class", [MixtureDenoiser, EDM, FlowMatching, ScoreSDE, NCSN, DDPM, Interpolant], ids=lambda c: c.__name__
)
def test_the_density_is_that_of_the_map(model_class, mixture):
    """log p(u) = log p_Z(encode(u)) + log|det|, of as many steps: the same field all the way."""
    if model_class is MixtureDenoiser:
        model = MixtureDenoiser(*mixture).double()
    else:
        with seeded(1):
            model = model_class(Event((2,)), hidden=(8, 8)).double().eval()
            for parameter in model.parameters():
                torch.nn.init.normal_(parameter, std=0.2)
    model.latent_steps, u = model.density_steps, drawn(mixture, 5)
    wanted = model._log_base(model._encode(u)) + log_abs_det(model._encode, u)
    torch.testing.assert_close(model._log_prob(u), wanted, atol=1e-4, rtol=0)
    if model_class is not Interpolant:
        torch.testing.assert_close(density(model, u).value, model._log_prob(u).detach(), atol=1e-10, rtol=0)


def test_counted_data_come_back():
    event = Event((2, 2), "integer", low=0, high=7)
    with seeded(1):
        model = FlowMatching(event, Event((), "category", levels=2), hidden=(8, 8)).eval()
    x, label = Rows(2, 12).integers(8, 2, 2), torch.arange(12) % 2
    model.preprocess.fit(x)
    z = model.encode(x.reshape(6, 2, 2, 2), label.reshape(6, 2))
    assert z.shape == (6, 2, 2, 2) and z.dtype == torch.float32
    assert torch.equal(model.decode(z.reshape(12, 2, 2), label).long(), x)


def test_rows_do_not_see_their_neighbours(mixture):
    model, x = MixtureDenoiser(*mixture, schedule="vp").double(), drawn(mixture, 50)
    torch.testing.assert_close(model.encode(x, batch_size=7), model.encode(x), atol=1e-12, rtol=0)


def test_an_interpolant_encodes_to_its_source():
    source = torch.tensor([[5.0, 0.0], [-5.0, 0.0]])
    model = Interpolant(Event((2,)), source=source, hidden=(8,)).eval()
    model.preprocess.fit(source.repeat(3, 1) + torch.randn(6, 2, generator=torch.Generator().manual_seed(0)))
    z = model.encode(source)  # before training nothing moves: a point is its own source, in model units
    torch.testing.assert_close(z, model._points(source))
    torch.testing.assert_close(model._log_base(z), model._log_prior(z))
    torch.testing.assert_close(model.decode(z), source)


def test_a_latent_carries_the_gradient_that_is_asked_for(mixture):
    model, x = MixtureDenoiser(*mixture).double(), drawn(mixture, 3)
    assert not model.encode(x).requires_grad
    point = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.encode(point)[:, 0].sum(), point)
    step = torch.tensor([1e-5, 0.0], dtype=torch.float64)
    ahead, behind = model.encode(x + step), model.encode(x - step)
    torch.testing.assert_close(slope[:, 0], (ahead - behind)[:, 0] / 2e-5, rtol=1e-5, atol=1e-6)
