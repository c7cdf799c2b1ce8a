"""Regions that hold what they say: central intervals and highest density regions of one Gaussian posterior."""

import math

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.metrics.calibration.coverage import central_level, coverage, highest_density_level
from fairway.metrics.calibration.pit import pit
from fairway.metrics.calibration.uniformity import ecdf_test


def test_central_intervals_of_a_right_model_hold_their_share(posterior, pairs):
    x, c = pairs(1500)
    found = coverage(central_level(pit(posterior(), x, c)))
    assert list(found) == [0.5, 0.8, 0.9, 0.95]
    for level, share in found.items():
        assert abs(share.value - level) < 4 * share.standard_error + 0.005


def test_an_overconfident_model_covers_less_by_the_known_amount(posterior, pairs):
    x, c = pairs(1500)
    found = coverage(central_level(pit(posterior(scale=0.5 * 0.5**0.5), x, c, draws=400)))[0.9]
    # the interval +-1.645 of half the spread holds P(|z| < 0.8224) = 0.589
    assert found.value == pytest.approx(math.erf(0.8224 / math.sqrt(2)), abs=4 * found.standard_error)


def test_highest_density_regions_are_one_number_for_a_whole_row(posterior, pairs):
    x, c = pairs(800)
    right, narrow = (highest_density_level(posterior(scale=s * 0.5**0.5), x, c) for s in (1.0, 0.7))
    assert right.shape == (800,) and ecdf_test(right).p_value > 0.01
    assert ecdf_test(narrow).p_value < 0.001 and coverage(narrow)[0.9].value < 0.75


def test_the_level_of_a_region_is_the_mass_inside_it(normal):
    radius = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    found = highest_density_level(normal(Event((2,))).eval(), radius, draws=20_000)
    assert found.tolist() == pytest.approx([0.0, 1 - math.exp(-0.5), 1 - math.exp(-2.0)], abs=0.015)


def test_the_error_is_over_rows_not_entries():
    row = torch.arange(50).double() / 50
    alike = coverage(row.unsqueeze(1).expand(50, 8))[0.5]
    assert alike.standard_error == pytest.approx(coverage(row)[0.5].standard_error)


def test_without_an_energy_or_with_wrong_levels_it_says_so(silent, rows):
    with pytest.raises(CapabilityError, match="energy"):
        highest_density_level(silent(Event((3,))), rows)
    with pytest.raises(ValueError, match=r"levels within \(0, 1\), got \(90,\)"):
        coverage(torch.rand(5, generator=torch.Generator()), (90,))
    with pytest.raises(ValueError, match="at least two rows"):
        coverage(torch.tensor(0.5))
