"""A number that says how to read it."""

import json

import pytest

from fairway.metrics.estimate import Estimate


def test_it_prints_relation_error_unit_method_and_floor():
    text = str(Estimate(1.5, 0.25, "lower", "estimate", "nats", floor=1.0, floor_sd=0.1))
    assert text == ">= 1.5 +- 0.25 nats (estimate; fresh data 1 +- 0.1)"
    assert str(Estimate(2.0)) == "2 (exact)"


def test_a_gap_under_two_sd_of_the_floor_is_a_tie():
    a = Estimate(1.0, floor=0.5, floor_sd=0.1)
    assert a.tied(Estimate(1.19)) and not a.tied(Estimate(1.21))


def test_without_a_floor_the_standard_errors_decide():
    assert Estimate(1.0, 0.3).tied(Estimate(1.9, 0.4))
    assert not Estimate(1.0, 0.3).tied(Estimate(2.1, 0.4))
    assert Estimate(1.0).tied(Estimate(1.0)) and not Estimate(1.0).tied(Estimate(1.1))


@pytest.mark.parametrize("other", [Estimate(1.0, unit="nats"), Estimate(1.0, protocol="other features")])
def test_numbers_of_another_kind_are_never_ranked(other):
    with pytest.raises(ValueError, match="one unit and protocol"):
        Estimate(1.0).tied(other)


def test_it_goes_into_json():
    assert json.loads(json.dumps(Estimate(1.0, interval=(0.5, 1.5), n=(3, 4)).to_dict()))["interval"] == [0.5, 1.5]
    assert float(Estimate(0.25)) == 0.25
