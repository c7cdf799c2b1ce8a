"""MMD and energy distance against sums written out, scipy, closed forms, and their own spread over repeats."""

import math

import pytest
import torch
from scipy.stats import energy_distance as scipys_energy_distance

from fairway.metrics.divergence import kernel as module
from fairway.metrics.divergence.kernel import energy_distance, kernel_distance, median_distance, squared_mmd


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gram(u, v, h):
    d = (u.unsqueeze(1) - v).square().sum(-1)
    return sum((-d / (2 * c * h * h)).exp() for c in (0.25, 0.5, 1, 2, 4)) / 5


def test_both_forms_are_their_sums():
    x, y, h = noise(0, 7, 3), noise(1, 9, 3) + 0.5, 1.3
    xx, yy, xy = gram(x, x, h), gram(y, y, h), gram(x, y, h)
    biased = xx.mean() + yy.mean() - 2 * xy.mean()
    unbiased = (xx.sum() - 7) / 42 + (yy.sum() - 9) / 72 - 2 * xy.mean()
    assert squared_mmd(x, y, bandwidth=h, unbiased=False).value == pytest.approx(float(biased), rel=1e-10)
    assert squared_mmd(x, y, bandwidth=h).value == pytest.approx(float(unbiased), rel=1e-10)


def test_blocks_change_nothing(monkeypatch):
    x, y = noise(0, 50, 3), noise(1, 70, 3)
    whole = squared_mmd(x, y)
    monkeypatch.setattr(module, "SIDE", 17)
    blocks = squared_mmd(x, y)
    assert blocks.value == pytest.approx(whole.value, abs=1e-13)
    assert blocks.standard_error == pytest.approx(whole.standard_error, rel=1e-9)


def test_energy_distance_is_scipys_on_the_line():
    x, y = noise(0, 40, 1), noise(1, 60, 1) + 1
    found = energy_distance(x, y, unbiased=False)
    assert found.value == pytest.approx(scipys_energy_distance(x.flatten(), y.flatten()) ** 2, rel=1e-9)
    assert found.unit == "data units" and "biased" in found.protocol


def test_the_bandwidth_is_the_median_of_the_reference_and_recorded():
    x, y = noise(0, 30, 2), noise(1, 30, 2)
    assert median_distance(y) == pytest.approx(float(torch.pdist(y).median()))
    found = squared_mmd(x, y)
    assert f"bandwidth {median_distance(y):.6g}" in found.protocol
    assert found.protocol == squared_mmd(x * 9, y).protocol != squared_mmd(y, x).protocol


@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("distance", [lambda x, y: squared_mmd(x, y, bandwidth=1.0), energy_distance])
def test_the_mean_is_right_and_the_standard_error_is_the_spread(shift, distance):
    found = [distance(noise(2 * i, 60, 2), noise(2 * i + 1, 80, 2) + shift) for i in range(300)]
    values = torch.tensor([e.value for e in found])
    errors = torch.tensor([e.standard_error for e in found])
    truth = distance(noise(1001, 4000, 2), noise(1002, 4000, 2) + shift)
    assert abs(float(values.mean()) - truth.value) < 4 * math.hypot(
        float(values.std()) / 300**0.5, truth.standard_error
    )
    ratio = float(errors.square().mean().sqrt() / values.std())
    assert 0.9 < ratio < (1.3 if shift == 0 else 1.1)  # under equal laws a variance of 0 is estimated, cut at 0


def test_far_from_the_origin_nothing_is_lost():
    x, y = noise(0, 50, 2), noise(1, 50, 2) + 1
    there = energy_distance(x * 1e-3 + 1e5, y * 1e-3 + 1e5)
    assert there.value == pytest.approx(energy_distance(x, y).value * 1e-3, rel=1e-6)


def test_equal_sets_are_at_zero_and_a_kernel_of_ones_own_will_do():
    x = noise(0, 30, 4)
    assert squared_mmd(x, x, unbiased=False).value == pytest.approx(0, abs=1e-12)
    means = kernel_distance(x, x + 1, lambda u, v: u @ v.mT, unbiased=False)
    assert means.value == pytest.approx(4)  # the linear kernel sees |difference of the means|^2


@pytest.mark.slow
def test_twenty_thousand_rows_fit():
    found = squared_mmd(noise(0, 20_000, 64), noise(1, 20_000, 64))
    assert abs(found.value) < 4 * found.standard_error


def test_what_has_no_kernel_distance_is_refused():
    with pytest.raises(ValueError, match="at least 2 rows"):
        squared_mmd(torch.ones(1, 2), torch.ones(5, 2))
    with pytest.raises(ValueError, match="bandwidth above 0"):
        squared_mmd(torch.ones(5, 2), torch.ones(5, 2))
