"""The Fréchet distance is exact for Gaussians, singular ones too, and knows its error and its bias."""

import pytest
import torch

from fairway.metrics.features import frechet, frechet_of_moments
from fairway.metrics.features.frechet import covariance


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spd(dims, rank, seed):
    a = normal(dims, rank, seed=seed)
    return a @ a.T


def test_commuting_gaussians_have_a_closed_form():
    scales = torch.tensor([0.5, 1.0, 3.0])
    value = frechet_of_moments(torch.zeros(3), torch.eye(3), torch.ones(3), scales.diag() ** 2)
    assert value == pytest.approx(3 + float((scales - 1).square().sum()), rel=1e-12)


def test_singular_covariances_are_exact():
    e1, e2 = torch.eye(2)[0], torch.eye(2)[1]
    zero = torch.zeros(2)
    line = torch.outer(e1, e1)
    assert frechet_of_moments(zero, line, zero, 4 * line) == pytest.approx(1, abs=1e-12)
    assert frechet_of_moments(zero, line, zero, torch.outer(e2, e2)) == pytest.approx(2, abs=1e-12)
    assert frechet_of_moments(zero, 0 * line, zero, torch.eye(2)) == pytest.approx(2, abs=1e-12)
    wide = spd(200, 5, seed=1)  # a rotation inside and 195 empty directions
    assert frechet_of_moments(torch.zeros(200), wide, torch.zeros(200), 9 * wide) == pytest.approx(
        4 * float(wide.trace()), rel=1e-12
    )


def test_it_equals_the_unsymmetric_square_root():
    sqrtm = pytest.importorskip("scipy.linalg").sqrtm
    s1, s2, m1, m2 = spd(12, 20, 0), spd(12, 20, 1), normal(12, seed=2), normal(12, seed=3)
    cross = sqrtm((s1 @ s2).numpy()).real.trace()
    expected = float((m1 - m2).square().sum() + s1.trace() + s2.trace()) - 2 * cross
    assert frechet_of_moments(m1, s1, m2, s2) == pytest.approx(expected, rel=1e-10)


def test_covariance_is_the_unbiased_one():
    x = normal(50, 4)
    torch.testing.assert_close(covariance(x), torch.cov(x.T))


def test_the_standard_error_is_the_spread_over_fresh_sets():
    found = []
    for seed in range(200):
        a, b = 1.5 * normal(400, 3, seed=2 * seed) + 1, normal(300, 3, seed=2 * seed + 1)
        found.append(frechet(a, b))
    values = torch.tensor([f.value for f in found])
    assert float(values.std()) == pytest.approx(found[0].standard_error, rel=0.2)


def test_its_bias_falls_as_one_over_n():
    means = [
        sum(frechet(normal(n, 8, seed=s), normal(n, 8, seed=s + 1000)).value for s in range(20)) / 20
        for n in (200, 400, 800)
    ]
    assert means[0] / means[1] == pytest.approx(2, rel=0.2) and means[1] / means[2] == pytest.approx(2, rel=0.2)


def test_too_few_rows_are_a_warning():
    with pytest.warns(UserWarning, match="20 features from 15 rows"):
        found = frechet(normal(15, 20), normal(40, 20))
    assert found.standard_error != found.standard_error and found.value > 0


def test_it_sees_two_moments_and_no_more():
    x = normal(4000, 2)
    signs = torch.where(normal(4000, 2, seed=1) > 0, 1.0, -1.0).double()  # four points with the same two moments
    assert frechet(signs, x).value < 0.01 < 1 < frechet(2 * x, x).value
    assert frechet(x[:500], x[:500]).value == pytest.approx(0, abs=1e-12)


def test_the_protocol_says_features_sizes_and_split():
    found = frechet(normal(30, 2), normal(40, 2, seed=1), split="test")
    assert found.protocol == "features raw; n 30, 40; split test" and found.n == (30, 40)
