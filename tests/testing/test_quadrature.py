"""Masses of densities that are known: any scale, any support, and samples counted into the same cells."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.testing.quadrature import Chart, enumerable, every_value, integrate_density
from fairway.testing.statistics import chi_square_p

MEAN = torch.tensor([1000.0, -7e-3], dtype=torch.float64)
COVARIANCE = torch.tensor([[1600.0, 0.09], [0.09, 9e-6]], dtype=torch.float64)  # correlation 0.75
NORMAL = torch.distributions.MultivariateNormal(MEAN, COVARIANCE)


def _draws(n, seed=0):
    z = torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return MEAN + z @ torch.linalg.cholesky(COVARIANCE).T


def test_a_correlated_normal_at_awkward_scales():
    mass = integrate_density(NORMAL.log_prob, Chart.around(Event((2,)), _draws(1000)))
    assert mass.total == pytest.approx(1, abs=1e-4) and len(mass.cells) == 48
    assert mass.entropy == pytest.approx(float(NORMAL.entropy()), abs=1e-3)


def test_a_density_that_is_not_one_is_found_out():
    mass = integrate_density(lambda x: NORMAL.log_prob(x) + math.log(1.05), Chart.around(Event((2,)), _draws(1000)))
    assert mass.total == pytest.approx(1.05, abs=1e-3)


def test_samples_fall_into_the_cells():
    mass = integrate_density(NORMAL.log_prob, Chart.around(Event((2,)), _draws(1000)))
    assert chi_square_p(*mass.counts(_draws(3000, seed=1), 8)) > 1e-3
    hot = MEAN + (_draws(3000, seed=1) - MEAN) * 1.3**0.5
    assert chi_square_p(*mass.counts(hot, 8)) < 1e-6


@pytest.mark.parametrize(
    ("event", "log_prob", "draws"),
    [
        (Event((1,), "bounded", low=2, high=6), lambda x: _beta(x[:, 0]), lambda z: 2 + 4 * torch.sigmoid(z)),
        (Event((1,), "positive"), lambda x: -x[:, 0] / 7 - math.log(7), lambda z: 7 * z.abs()),
        (Event((1, 1)), lambda x: -(x[:, 0, 0].abs()) - math.log(2), lambda z: z.unsqueeze(1)),
    ],
    ids=["beta", "exponential", "laplace"],
)
def test_other_supports_and_heavier_tails(event, log_prob, draws):
    z = torch.randn(500, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mass = integrate_density(log_prob, Chart.around(event, draws(z)))
    assert mass.total == pytest.approx(1, abs=2e-3)


def _beta(x):
    share = (x - 2) / 4
    return math.log(30.0 / 4) + 2 * share.log() + 2 * torch.log1p(-share)


def test_the_chart_undoes_itself():
    chart = Chart.around(Event((2,)), _draws(500))
    v = torch.rand(50, 2, dtype=torch.float64)
    assert torch.allclose(chart.to_cube(chart.to_data(v)[0]), v)


def test_every_value():
    event = Event((2,), "integer", low=3, high=5)
    values = every_value(event)
    assert enumerable(event) and len(values.unique(dim=0)) == 9 and values.min() == 3 and values.max() == 5
    assert not enumerable(Event((6,), "integer", low=0, high=7)) and not enumerable(Event((2,)))
    assert not enumerable(event, limit=8) and not enumerable(Event((None,), "tokens", levels=2))
