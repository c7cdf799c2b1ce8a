"""One door for array-likes: meaning and precision survive, text and ragged lists are refused by name."""

import numpy as np
import pandas as pd
import pytest
import torch

from fairway.core.arrays import as_tensor


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.zeros((2, 3)), torch.float64),
        (np.zeros((2, 3), np.float32), torch.float32),
        (np.zeros((2, 3), np.float16), torch.float32),
        (np.zeros((2, 3), np.uint8), torch.uint8),
        (np.zeros((2, 3), np.uint16), torch.int64),
        (np.zeros((2, 3), bool), torch.bool),
        ([[1, 2, 3], [4, 5, 6]], torch.int64),
        (pd.DataFrame({"a": [1.0, 2.0], "b": [3, 4], "c": [5, 6]}), torch.float64),
    ],
)
def test_what_comes_in_keeps_its_meaning(array, dtype):
    out = as_tensor(array)
    assert out.dtype == dtype and tuple(out.shape) == (2, 3)


def test_a_small_column_far_from_zero_keeps_its_digits():
    x = np.array([[1e5 + 1e-3], [1e5 + 2e-3]])
    assert float(as_tensor(x).diff(dim=0)) == pytest.approx(1e-3, rel=1e-6)


def test_a_tensor_passes_through_with_its_gradient():
    x = torch.ones(2, 2, requires_grad=True)
    assert as_tensor(x) is x


def test_an_array_is_copied_and_negative_strides_are_straightened():
    source = np.arange(4.0).reshape(2, 2)
    out = as_tensor(source[::-1])
    source[:] = -1
    assert out.tolist() == [[2, 3], [0, 1]]


def test_series_and_scalars():
    assert as_tensor(pd.Series([1, 2])).tolist() == [1, 2]
    assert as_tensor(3.0).shape == ()


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([["a", "b"]], "numbers"),
        (np.array([object()]), "numbers"),
        ([[1, 2], [3]], "ragged"),
        (np.zeros((0, 3)), "at least one row"),
        (torch.zeros(3, 0), "at least one row"),
        (pd.DataFrame({"good": [1.0], "name": ["x"]}), "'name'"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "numbers"),
    ],
)
def test_the_rest_is_refused_by_name(bad, says):
    with pytest.raises(ValueError, match=says) as caught:
        as_tensor(bad, "the table")
    assert "the table" in str(caught.value)
