"""Posterior draws against exact posteriors of Gaussians and mixtures."""

import pytest
import torch

from fairway.applications.posterior_sampling import in_data_units, posterior_sample
from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.models.classical.gaussian import Gaussian
from fairway.models.diffusion.edm import EDM
from fairway.models.diffusion.mixture import MixtureDenoiser

COVARIANCE = torch.tensor([[1.0, 0.7, 0.3], [0.7, 1.0, 0.6], [0.3, 0.6, 0.8]], dtype=torch.float64)
MEAN = torch.tensor([0.2, -0.1, 0.3], dtype=torch.float64)
ONE = torch.tensor([[1.0, 0.5, 0.0]], dtype=torch.float64)
TWO = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, -1.0]], dtype=torch.float64)
Y = torch.tensor([1.5, 0.4], dtype=torch.float64)


def gaussian(schedule="vp"):
    return MixtureDenoiser(torch.ones(1).double(), MEAN[None], COVARIANCE[None], schedule=schedule).double()


def exact(a, y, noise):
    """Mean and covariance of x given y = a x + noise eps."""
    gain = COVARIANCE @ a.T @ torch.linalg.inv(a @ COVARIANCE @ a.T + noise**2 * torch.eye(len(a)).double())
    return MEAN + gain @ (y - a @ MEAN), COVARIANCE - gain @ a @ COVARIANCE


@pytest.mark.parametrize("noise", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("schedule", ["vp", "edm", "linear"])
def test_of_one_number_from_a_gaussian_it_is_the_posterior(schedule, noise):
    """3,000 draws: the mean within 4 standard errors, covariances to 0.05 (what 200 steps leave)."""
    n, (mean, covariance) = 3_000, exact(ONE, Y[:1], noise)
    draws = posterior_sample(gaussian(schedule), lambda x: x @ ONE.T, Y[:1], noise, n, generator=0)
    assert draws.shape == (n, 3)
    assert bool(((draws.mean(0) - mean).abs() < 4 * (covariance.diagonal() / n).sqrt()).all())
    torch.testing.assert_close(draws.T.cov(), covariance, atol=0.05, rtol=0)


@pytest.mark.parametrize("noise", [0.05, 0.3, 1.0])
def test_of_two_numbers_it_is_near(noise):
    """One iteration of conjugate gradients for two: means to 0.1 posterior standard deviations, covariances to 0.05."""
    mean, covariance = exact(TWO, Y, noise)
    draws = posterior_sample(gaussian(), lambda x: x @ TWO.T, Y, noise, 3_000, generator=0)
    far = (draws.mean(0) - mean).abs() / covariance.diagonal().sqrt()
    assert float(far.max()) < 0.1 + 4 / 3_000**0.5, far
    torch.testing.assert_close(draws.T.cov(), covariance, atol=0.05, rtol=0)


def test_the_papers_own_step_approaches_the_measurement_and_ignores_the_noise():
    mean, covariance = exact(ONE, Y[:1], 0.3)
    draws = [
        posterior_sample(gaussian(), lambda x: x @ ONE.T, Y[:1], noise, 2_000, zeta=0.3, generator=0)
        for noise in (0.3, 1.0)
    ]
    assert torch.equal(*draws)
    far = ((draws[0].mean(0) - mean).abs() / covariance.diagonal().sqrt()).max()
    prior = ((MEAN - mean).abs() / covariance.diagonal().sqrt()).max()
    assert float(far) < 0.3 * float(prior), (far, prior)


def test_two_humps_are_weighed_by_what_was_measured():
    """x_0 + 0.5 eps = 0.2 leaves both components: 0.62 of the second one's, whose share was 0.4; 0.54 is found.

    A normal law for p(y | u_t) where it has two humps is an approximation, and stays one as steps grow.
    """
    weights, means = torch.tensor([0.6, 0.4]).double(), torch.tensor([[-1.0, 1.0], [1.0, -1.0]]).double()
    model = MixtureDenoiser(weights, means, 0.2 * torch.eye(2).double().expand(2, 2, 2), schedule="vp").double()
    draws = posterior_sample(model, lambda x: x[:, :1], [0.2], 0.5, 3_000, generator=0)
    evidence = weights * torch.exp(-0.5 * (0.2 - means[:, 0]) ** 2 / (0.2 + 0.25))
    share = evidence / evidence.sum()
    mean = means[:, 0] + 0.2 / 0.45 * (0.2 - means[:, 0])
    found = (draws[:, 1] < 0).double().mean()
    assert abs(float(found - share[1])) < 0.1, (found, share)
    assert abs(float(draws[:, 0].mean() - (share * mean).sum())) < 0.12


def test_units_of_the_data_are_those_of_the_measurement():
    """The same Gaussian told in other units: x' = 5 x - 3, measured by A' = A / 5."""
    scaled = gaussian()
    scaled.preprocess.mean.fill_(-3.0)
    scaled.preprocess.std.fill_(5.0)
    options = {"steps": 20, "generator": 0}
    own = posterior_sample(gaussian(), lambda x: x @ TWO.T, Y, 0.3, 50, **options)
    other = posterior_sample(scaled, lambda x: (x + 3) / 5 @ TWO.T, Y, 0.3, 50, **options)
    torch.testing.assert_close(other, 5 * own - 3)


def test_any_slope_will_do_and_the_networks_parameters_are_left_alone():
    model = EDM(Event((1, 2, 2), "integer", low=0, high=9), Event((), "category", levels=3), hidden=(8,))
    blurred = torch.tensor([[3.0], [6.0]])
    draws = posterior_sample(
        model, lambda x: x.flatten(1).square().mean(1, keepdim=True).sqrt(), blurred, 0.5, 3, context=[0, 2], steps=4
    )
    assert draws.shape == (2, 3, 1, 2, 2) and draws.dtype == torch.uint8 and bool((draws <= 9).all())
    assert all(p.grad is None for p in model.parameters()) and not draws.requires_grad


def test_counts_are_shown_as_real_numbers_with_a_slope():
    model = EDM(Event((3,), "integer", low=0, high=9), hidden=(8,)).double()
    u = torch.linspace(0.2, 9.7, 6, dtype=torch.float64).reshape(2, 3).requires_grad_()
    x = in_data_units(model.preprocess, u)
    assert bool((torch.autograd.grad(x.sum(), u)[0] > 0).all())
    assert bool(((x - model.preprocess.to_data(u)).abs() <= 0.5).all())


def test_the_same_seed_gives_the_same_draws_whatever_the_batch():
    def draw(n=7, y=(Y, -Y), **options):
        options = {"steps": 6, "generator": 5, **options}
        return posterior_sample(gaussian(), lambda x: x @ TWO.T, torch.stack(y), 0.3, n, **options)

    torch.testing.assert_close(draw(), draw(batch_size=4))
    torch.testing.assert_close(draw()[:, :3], draw(3))
    assert draw().shape == (2, 7, 3) and not torch.allclose(draw(), draw(generator=6))


def test_what_is_wrong_is_told():
    model = gaussian()

    def project(x):
        return x @ TWO.T

    with pytest.raises(CapabilityError, match="posterior sampling"):
        posterior_sample(Gaussian(Event((3,))), project, Y, 0.3)
    for noise in (0.0, -1.0, float("inf"), True):
        with pytest.raises(ValueError, match="expected noise"):
            posterior_sample(model, project, Y, noise)
    for y in (torch.zeros(3), torch.zeros(4, 3), torch.zeros(1, 1, 2)):
        with pytest.raises(ValueError, match="expected y of shape"):
            posterior_sample(model, project, y, 0.3)
    with pytest.raises(ValueError, match="finite"):
        posterior_sample(model, project, [1.0, float("nan")], 0.3)
    with pytest.raises(ValueError, match="expected measure"):
        posterior_sample(model, torch.sum, 1.0, 0.3)
    for options in ({"n": 0}, {"steps": 0}, {"zeta": -1.0}, {"grid": "cosine"}):
        with pytest.raises(ValueError, match="expected"):
            posterior_sample(model, project, Y, 0.3, **options)
