"""A value beside its floor: fresh data are at it, other laws above, and sizes are equal and recorded."""

import pytest
import torch

from fairway.metrics.divergence import sliced_wasserstein
from fairway.metrics.divergence.transport import wasserstein
from fairway.metrics.floor import floor_of, with_floor


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_fresh_data_are_at_the_floor_and_another_law_is_above():
    data = noise(0, 400, 3)
    for seed in range(5):
        fresh = with_floor(sliced_wasserstein, noise(seed + 1, 200, 3), data)
        assert abs(fresh.value - fresh.floor) < 4 * fresh.floor_sd
    other = with_floor(sliced_wasserstein, noise(1, 200, 3) + 1, data)
    assert other.value > other.floor + 10 * other.floor_sd


def test_the_floor_is_that_of_independent_sets():
    found = with_floor(wasserstein, noise(1, 50, 2), noise(0, 4000, 2), repeats=60)
    independent = torch.tensor([wasserstein(noise(2 * i, 50, 2), noise(2 * i + 1, 50, 2)).value for i in range(60)])
    assert found.floor == pytest.approx(float(independent.mean()), rel=0.05)
    assert floor_of(wasserstein, noise(0, 4000, 2), 50, repeats=60)[0] == pytest.approx(found.floor, rel=0.05)
    assert found.floor_sd == pytest.approx(float(independent.std()), rel=0.35)


def test_sizes_are_equal_and_recorded_and_the_estimate_is_kept():
    found = with_floor(wasserstein, noise(1, 100, 2), noise(0, 61, 2), repeats=2)
    assert found.n == (30, 30) and found.protocol == "optimal transport, 30 rows a side"
    assert (found.unit, found.method) == ("data units", "exact")
    assert "fresh data" in str(found)


def test_gaps_under_two_deviations_of_the_floor_are_ties_and_other_sizes_are_not_ranked():
    data = noise(0, 600, 2)
    one, two = (with_floor(sliced_wasserstein, noise(seed, 300, 2) * 1.02, data) for seed in (1, 2))
    far = with_floor(sliced_wasserstein, noise(3, 300, 2) + 2, data)
    assert one.tied(two) and not one.tied(far)
    with pytest.raises(ValueError, match="100 rows a side"):
        one.tied(with_floor(sliced_wasserstein, noise(1, 100, 2), data))


def test_one_seed_one_floor():
    x, data = noise(1, 30, 2), noise(0, 80, 2)
    assert with_floor(sliced_wasserstein, x, data, generator=1) == with_floor(sliced_wasserstein, x, data, generator=1)
    assert with_floor(sliced_wasserstein, x, data, generator=1) != with_floor(sliced_wasserstein, x, data, generator=2)


def test_too_few_rows_of_data_are_refused():
    with pytest.raises(ValueError, match="at least 60 samples and twice as many rows of data"):
        with_floor(wasserstein, noise(0, 100, 2), noise(0, 100, 2), size=60)
    with pytest.raises(ValueError, match="got 5 samples and 3 rows"):
        with_floor(wasserstein, noise(0, 5, 2), noise(0, 3, 2))
    with pytest.raises(ValueError, match="two repeats"):
        with_floor(wasserstein, noise(0, 5, 2), noise(0, 30, 2), repeats=1)
