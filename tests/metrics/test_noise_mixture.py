"""99 % noise: cheap in log-likelihood, seen by coverage, Fréchet and a learned test, not by recall or neighbours."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.data.dataset import load
from fairway.metrics.noise_mixture import (
    diluted_log_prob,
    diluted_samples,
    dilution,
    dilution_table,
    largest_gap,
)
from fairway.models.classical.gaussian import Gaussian
from fairway.models.classical.mixture import GMM


def test_the_gap_is_at_most_log_100_whatever_the_noise():
    generator = torch.Generator().manual_seed(0)
    p, noise = (100 * torch.randn(500, generator=generator, dtype=torch.float64) for _ in range(2))
    gap = p - diluted_log_prob(p, noise)
    assert float(gap.max()) <= math.log(100) + 1e-9 and largest_gap() == pytest.approx(4.605, abs=1e-3)
    assert largest_gap() / 784 / math.log(2) == pytest.approx(0.0085, abs=5e-5)


def test_the_diluted_law_is_a_law():
    x = torch.linspace(-40, 40, 8001, dtype=torch.float64)
    normal, wide = (torch.distributions.Normal(0.0, scale).log_prob(x) for scale in (1.0, 3.0))
    assert float(diluted_log_prob(normal, wide, 0.3).exp().sum()) * 0.01 == pytest.approx(1, abs=1e-6)


def test_one_sample_in_a_hundred_is_of_the_model():
    kept = diluted_samples(torch.ones(20_000, 2), torch.zeros(20_000, 2))
    assert set(kept.unique().tolist()) == {0.0, 1.0} and (kept[:, 0] == kept[:, 1]).all()
    assert float(kept.mean()) == pytest.approx(0.01, abs=0.003)
    with pytest.raises(ValueError, match=r"share in \(0, 1\], got 0"):
        diluted_samples(torch.ones(5, 2), torch.zeros(5, 2), 0)


def verdicts(found):
    """What coverage, Fréchet and the learned test see, and recall and the neighbours do not."""
    diluted, pure = found.diluted, found.pure
    assert diluted["coverage"].value < 0.2 < 0.9 < pure["coverage"].value
    assert diluted["frechet"].value > 5 * pure["frechet"].value
    assert found.p_values["classifier"] <= 0.01
    assert diluted["recall"].value >= pure["recall"].value
    assert found.p_values["neighbours"] > 0.05 and abs(diluted["neighbours"].value - 0.5) < 0.03


def test_the_table_by_dimension():
    low, high = dilution_table((2, 64), n=300)
    assert low.gap.value < 1.5 and high.gap.value == pytest.approx(math.log(100), abs=1e-3)
    assert high.bits_per_dim == pytest.approx(0.1038, abs=1e-4)
    verdicts(high)
    assert low.p_values["neighbours"] <= 0.01  # on the plane the neighbours do see it


@pytest.mark.slow
def test_at_784_dimensions_it_costs_0_0085_bits_per_dimension():
    (found,) = dilution_table((784,))
    assert found.bits_per_dim == pytest.approx(0.0085, abs=5e-5)
    verdicts(found)


def test_on_digits_the_diluted_model_still_beats_a_gaussian():
    grey = load("digits").x.double().flatten(1)
    generator = torch.Generator().manual_seed(0)
    x = ((grey + torch.rand(grey.shape, generator=generator, dtype=torch.float64)) / 17)[
        torch.randperm(len(grey), generator=generator)
    ]
    train, test = x[:1300], x[1300:]
    model = GMM(Event((64,)), components=8).double().fit(train, seed=0)
    gaussian = Gaussian(Event((64,))).double().fit(train, seed=0)
    noise = Gaussian(Event((64,)), covariance="spherical").double().fit(train, seed=0)
    found = dilution(model, noise, test)
    assert found.gap.value <= largest_gap() + 1e-9
    assert float((model.log_prob(test) - gaussian.log_prob(test)).mean()) > 2 * largest_gap()  # a ranking of models
    assert found.diluted["coverage"].value < 0.5 * found.pure["coverage"].value
    assert found.p_values["classifier"] <= 0.01
