"""Intervals cover what they say they cover, also for a distance, where drawing with replacement does not."""

import math

import pytest
import torch

from fairway.metrics.bootstrap import bootstrap
from fairway.metrics.divergence import sliced_wasserstein
from fairway.metrics.divergence.transport import wasserstein


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("n", [100, 101])
def test_the_mean_has_its_standard_error(n):
    x = noise(0, n)
    error, (low, high) = bootstrap(torch.mean, x, repeats=2000, generator=0)
    assert error == pytest.approx(float(x.std()) / math.sqrt(n), rel=0.06)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=1e-3) and low < float(x.mean()) < high


def test_two_sets_vary_independently():
    x, y = noise(0, 200), 3 * noise(1, 50)
    error, _ = bootstrap(lambda a, b: a.mean() - b.mean(), x, y, repeats=2000, generator=0)
    assert error == pytest.approx(math.hypot(float(x.std()) / 200**0.5, float(y.std()) / 50**0.5), rel=0.06)


def coverage(statistic, truth, draw, runs=150):
    """How often the interval holds the truth."""
    hits = 0
    for seed in range(runs):
        _, (low, high) = bootstrap(statistic, *draw(seed), repeats=60, generator=seed)
        hits += low <= truth <= high
    return hits / runs


def test_the_interval_of_a_mean_covers_it():
    assert coverage(torch.mean, 0.0, lambda seed: (noise(seed, 80),)) == pytest.approx(0.95, abs=0.05)


def test_the_interval_of_a_biased_distance_covers_its_mean_at_these_sizes():
    def draw(seed):
        return noise(2 * seed, 100, 2), noise(2 * seed + 1, 100, 2) + 0.5

    distance = lambda x, y: sliced_wasserstein(x, y, directions=8)  # noqa: E731
    truth = sum(distance(*draw(seed)) for seed in range(1000, 1600)) / 600
    assert coverage(distance, truth, draw) == pytest.approx(0.95, abs=0.05)


def test_an_unbiased_distance_is_covered_itself():
    def draw(seed):
        return noise(2 * seed, 60, 1), noise(2 * seed + 1, 60, 1) + 1.0

    def distance(x, y):  # the squared difference of the means, unbiased
        return (x.mean() - y.mean()) ** 2 - x.var() / len(x) - y.var() / len(y)

    assert coverage(distance, 1.0, draw) == pytest.approx(0.95, abs=0.05)


def test_where_drawing_with_replacement_lies_above_the_observed_value():
    x, y = noise(0, 60, 5), noise(1, 60, 5)
    observed = wasserstein(x, y).value
    generator = torch.Generator().manual_seed(0)
    with_replacement = []
    for _ in range(30):
        i, j = torch.randint(0, 60, (2, 60), generator=generator)
        with_replacement.append(wasserstein(x[i], y[j]).value)
    assert min(with_replacement) > observed  # percentiles of these miss it altogether
    _, (low, high) = bootstrap(wasserstein, x, y, repeats=40, generator=0)
    assert low < observed < high


def test_one_seed_one_interval():
    x = noise(0, 30)
    assert bootstrap(torch.mean, x, generator=5) == bootstrap(torch.mean, x, generator=5)
    assert bootstrap(torch.mean, x, generator=5) != bootstrap(torch.mean, x, generator=6)


def test_what_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="at least four rows"):
        bootstrap(torch.mean, torch.zeros(3))
    with pytest.raises(ValueError, match="at least 20 repeats"):
        bootstrap(torch.mean, torch.zeros(30), repeats=5)
    with pytest.raises(ValueError, match="finite on every half"):
        bootstrap(lambda x: math.nan, torch.zeros(30))
