"""Closed forms of Gaussians against scipy, quadrature, torch.distributions and Monte Carlo."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.linalg import sqrtm
from scipy.stats import norm
from torch.distributions import MultivariateNormal, kl_divergence

from fairway.metrics.divergence.f_divergence import f_divergence_of_densities
from fairway.metrics.divergence.gaussian import (
    gaussian,
    gaussian_bhattacharyya,
    gaussian_jeffreys,
    gaussian_kl,
    gaussian_of,
    gaussian_squared_hellinger,
    gaussian_w2,
)


def full(seed, dims=4):
    noise = torch.randn(dims + 1, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return gaussian(noise[0], noise[1:] @ noise[1:].mT + 0.5 * torch.eye(dims))


P, Q = full(0), full(1)


def test_kl_is_that_of_torch():
    expected = kl_divergence(MultivariateNormal(*P), MultivariateNormal(*Q))
    assert gaussian_kl(P, Q).value == pytest.approx(float(expected), rel=1e-12)
    assert gaussian_jeffreys(P, Q).value == pytest.approx(gaussian_kl(P, Q).value + gaussian_kl(Q, P).value)


def test_on_the_line_kl_and_hellinger_are_quadratures():
    p, q = norm(0.3, 1.5), norm(-1, 0.7)
    a, b = gaussian(0.3, 1.5**2), gaussian(-1, 0.7**2)
    expected, _ = quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -20, 20)
    assert gaussian_kl(a, b).value == pytest.approx(expected, rel=1e-8)
    overlap, _ = quad(lambda x: math.sqrt(p.pdf(x) * q.pdf(x)), -20, 20)
    assert gaussian_squared_hellinger(a, b).value == pytest.approx(1 - overlap, rel=1e-8)
    assert gaussian_bhattacharyya(a, b).value == pytest.approx(-math.log(overlap), rel=1e-8)


def test_w2_is_the_formula_with_a_matrix_root_and_the_quantiles_on_the_line():
    s, t = P.covariance.numpy(), Q.covariance.numpy()
    expected = np.trace(s + t - 2 * sqrtm(s @ t).real) + float((P.mean - Q.mean).square().sum())
    assert gaussian_w2(P, Q).value == pytest.approx(math.sqrt(expected), rel=1e-9)
    assert gaussian_w2(gaussian(1, 4), gaussian(3, 25)).value == pytest.approx(math.hypot(2, 3))


def test_w2_takes_a_covariance_without_full_rank():
    assert gaussian_w2(gaussian([0, 0], [1, 0]), gaussian([0, 2], [1, 0])).value == pytest.approx(2)
    with pytest.raises(ValueError, match="full rank"):
        gaussian_kl(gaussian([0, 0], [1, 0]), gaussian([0, 0], [1, 1]))


def test_monte_carlo_over_the_densities_agrees():
    p, q = gaussian([0, 0], [1, 1]), gaussian([0.5, 0], [[0.9, 0.2], [0.2, 0.8]])
    x = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    log_p, log_q = MultivariateNormal(*p).log_prob, MultivariateNormal(*q).log_prob
    closed_forms = {"kl": gaussian_kl, "squared_hellinger": gaussian_squared_hellinger, "jeffreys": gaussian_jeffreys}
    for name, closed in closed_forms.items():
        found = f_divergence_of_densities(log_p, log_q, x, name)
        assert abs(found.value - closed(p, q).value) < 4 * found.standard_error


@pytest.mark.parametrize("closed", [gaussian_kl, gaussian_jeffreys, gaussian_squared_hellinger, gaussian_w2])
def test_equal_gaussians_are_at_zero(closed):
    assert closed(P, P).value == pytest.approx(0, abs=1e-6) and closed(P, P).method == "exact"


def test_rows_give_their_mean_and_covariance():
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(gaussian_of(x).covariance, torch.from_numpy(np.cov(x.numpy().T)))
    assert gaussian_of(x[:, :1]).covariance.shape == (1, 1)


def test_what_is_no_gaussian_is_refused():
    with pytest.raises(ValueError, match="symmetric covariance"):
        gaussian([0, 0], [[1, 0.5], [0, 1]])
    with pytest.raises(ValueError, match="negative eigenvalues"):
        gaussian([0, 0], [[1, 2], [2, 1]])
    with pytest.raises(ValueError, match="covariance"):
        gaussian([0, 0], [1, 1, 1])
    with pytest.raises(ValueError, match="one dimension, got 1 and 4"):
        gaussian_kl(gaussian(0, 1), P)
    with pytest.raises(ValueError, match="two rows"):
        gaussian_of(torch.zeros(1, 2))
