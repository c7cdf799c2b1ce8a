"""A number travels with its relation, method, error and protocol."""

import json
import math

import pytest
import torch

from fairway.core.likelihood import Likelihood


def _likelihood(relation="equal", protocol="", levels=256, rows=4):
    value = -math.log(256) * 2 * torch.ones(rows)
    value = value + torch.linspace(-0.1, 0.1, rows) if rows > 1 else value
    zeros, dims = torch.zeros(rows), torch.full((rows,), 2)
    return Likelihood(value, relation, "exact", zeros, dims, protocol, levels, {"nll": -value})


def test_eight_bits_for_256_equal_levels():
    likelihood = _likelihood()
    assert likelihood.bits_per_dim == pytest.approx(8.0) and likelihood.nats == pytest.approx(-16 * math.log(2))
    expected = float(likelihood.value.double().std() / 2 / 2 / math.log(2))
    assert likelihood.bits_per_dim_error == pytest.approx(expected)


def test_densities_have_no_bits_and_one_row_no_error():
    assert _likelihood(levels=None).bits_per_dim is None and _likelihood(levels=None).bits_per_dim_error is None
    assert math.isnan(_likelihood(rows=1).standard_error)


@pytest.mark.parametrize(
    ("one", "other", "ranked"),
    [
        (_likelihood(), _likelihood("lower"), True),
        (_likelihood(), _likelihood(protocol="binarised"), False),
        (_likelihood(), _likelihood("none"), False),
        (_likelihood("none"), _likelihood(), False),
    ],
)
def test_what_may_stand_in_one_ranking(one, other, ranked):
    assert one.comparable(other) is ranked


def test_a_summary_is_json():
    summary = json.loads(json.dumps(_likelihood().to_dict()))
    assert summary["relation"] == "equal" and summary["rows"] == 4 and summary["terms"]["nll"] == -summary["nats"]
