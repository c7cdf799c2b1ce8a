"""Posteriors of the latent: densities of their own draws, KL on average, and a flow that bends a Gaussian."""

import math

import pytest
import torch

from fairway.core.numerics import standard_normal_log_prob
from fairway.core.random import Rows, seeded
from fairway.models.latent.posterior import (
    POSTERIORS,
    DiagonalPosterior,
    kl_to_standard_normal,
    posterior_of,
    posterior_transform,
    width_of,
)

Z = 3
SPREAD = {"iaf": 0.05}  # its networks are wide
FLOWS = [name for name, step in POSTERIORS.items() if step is not None]


def posterior(name, rows=6, spread=None, transforms=3):
    """A posterior far from Gaussian: every parameter of its steps redrawn."""
    with seeded(0):
        transform = posterior_transform(name, Z, transforms)
        spread = SPREAD.get(name, 0.3) if spread is None else spread
        encoded = 0.4 * torch.randn(rows, width_of(Z, transform), dtype=torch.float64)
        if transform is not None:
            transform = transform.double().requires_grad_(False)
            for parameter in transform.parameters():
                parameter.normal_(0, spread)
    return posterior_of(encoded, Z, transform)


@pytest.mark.parametrize("name", list(POSTERIORS))
def test_a_draw_knows_its_density(name):
    q = posterior(name)
    z, log_q = q.draw_and_log_prob(Rows(0, 6, dtype=torch.float64))
    torch.testing.assert_close(q.log_prob(z), log_q, atol=1e-8, rtol=1e-8)
    assert torch.equal(q.draw_and_kl(Rows(0, 6, dtype=torch.float64))[0], z)


@pytest.mark.parametrize("name", list(POSTERIORS))
def test_the_density_integrates_to_one(name):
    q = posterior(name, rows=1)
    k = 40_000
    wide = DiagonalPosterior(
        *(part.expand(k, Z) for part in (torch.zeros(1, Z).double(), torch.full((1, Z), 0.8).double()))
    )
    z, log_w = wide.draw_and_log_prob(Rows(1, k, dtype=torch.float64))
    one = _repeated(q, k)
    assert float((one.log_prob(z) - log_w).exp().mean()) == pytest.approx(1, abs=0.06)


def _repeated(q, k):
    if isinstance(q, DiagonalPosterior):
        return DiagonalPosterior(q.mean.expand(k, Z), q.log_std.expand(k, Z))
    return type(q)(_repeated(q.base, k), q.transform, q.features.expand(k, -1))


@pytest.mark.parametrize("name", FLOWS)
def test_the_kl_at_draws_is_right_on_average(name):
    q, k = posterior(name, rows=1), 40_000
    z, kl = _repeated(q, k).draw_and_kl(Rows(2, k, dtype=torch.float64))
    log_q, log_p = _repeated(q, k).log_prob(z), standard_normal_log_prob(z)
    torch.testing.assert_close(kl, log_q - log_p, atol=1e-8, rtol=1e-8)
    assert float(kl.mean()) > -4 * float(kl.std()) / math.sqrt(k)  # a divergence is not negative


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_without_parameters_is_the_diagonal_posterior(name):
    bent, plain = posterior(name, spread=0.0), posterior(name, spread=0.0).base
    z, log_q = bent.draw_and_log_prob(Rows(0, 6, dtype=torch.float64))
    expected, log_expected = plain.draw_and_log_prob(Rows(0, 6, dtype=torch.float64))
    torch.testing.assert_close(z, expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(log_q, log_expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", FLOWS)
def test_the_features_of_a_row_bend_its_own_posterior_alone(name):
    q = posterior(name)
    other = type(q)(q.base, q.transform, torch.cat([q.features[:3], q.features[3:].roll(1, 0)]))
    moved = (q.centre() - other.centre()).abs().amax(1)
    assert (moved[:3] == 0).all() and (moved[3:] > 1e-3).all()


def test_the_centre_is_where_noise_is_zero():
    for name in POSTERIORS:
        q = posterior(name)
        base = q if isinstance(q, DiagonalPosterior) else q.base
        still = DiagonalPosterior(base.mean, torch.full_like(base.mean, -40.0))
        q = still if q is base else type(q)(still, q.transform, q.features)
        torch.testing.assert_close(q.draw_and_log_prob(Rows(0, 6, dtype=torch.float64))[0], q.centre())


def test_the_closed_form_of_the_kl():
    mean, log_std = torch.tensor([[0.5, -1.0]]).double(), torch.tensor([[0.2, -0.7]]).double()
    normal = torch.distributions.Normal(mean, log_std.exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_std), expected)


def test_unknown_posteriors_and_no_steps_are_refused():
    with pytest.raises(ValueError, match="no posterior named 'planer'; did you mean 'planar'"):
        posterior_transform("planer", Z, 3)
    with pytest.raises(ValueError, match="transforms of at least 1"):
        posterior_transform("planar", Z, 0)
