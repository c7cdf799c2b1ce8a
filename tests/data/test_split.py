"""Splits are disjoint, complete, shuffled and reproducible."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairway.data.split import split_rows


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 200), st.floats(0.001, 0.999), st.integers(0, 5))
def test_every_row_lands_on_exactly_one_side(n, fraction, seed):
    train, held_out = split_rows(n, fraction, seed)
    assert len(train) >= 1 and len(held_out) >= 1
    assert torch.cat([train, held_out]).sort().values.tolist() == list(range(n))


def test_same_seed_same_rows_and_the_global_state_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, second, other = split_rows(100, 0.1, 1), split_rows(100, 0.1, 1), split_rows(100, 0.1, 2)
    assert torch.rand(1) == expected
    assert torch.equal(first[1], second[1]) and not torch.equal(first[1], other[1])
    assert not torch.equal(first[0], first[0].sort().values)


def test_share_that_is_held_out():
    assert len(split_rows(1797, 0.1)[1]) == 180


@pytest.mark.parametrize("n, fraction", [(1, 0.5), (10, 0.0), (10, 1.0), (10, -0.1)])
def test_impossible_splits_are_refused(n, fraction):
    with pytest.raises(ValueError, match="expected"):
        split_rows(n, fraction)
