"""Events: what is inferred from data, what is checked, and a JSON round trip of any of them."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairway.core.event import Event

SHAPES = st.lists(st.integers(1, 5), max_size=3).map(tuple)
COUNTED = st.builds(
    lambda shape, low, span: Event(shape, "integer", low=low, high=low + span),
    SHAPES, st.integers(-9, 9), st.integers(0, 300),
)  # fmt: skip
LABELS = st.builds(Event, SHAPES, st.sampled_from(["category", "tokens"]), levels=st.integers(1, 50))
BOUNDED = st.builds(
    lambda shape, low, span: Event(shape, "bounded", low=low, high=low + span),
    SHAPES, st.floats(-1e3, 1e3), st.floats(1e-3, 1e3),
)  # fmt: skip
EVENTS = st.one_of(
    st.builds(Event, SHAPES, st.sampled_from(["real", "positive", "binary"]), missing=st.booleans()),
    st.builds(lambda width: Event((3, None, width), "tokens", levels=7), st.integers(1, 4)),
    COUNTED,
    LABELS,
    BOUNDED,
)


@given(EVENTS)
def test_any_event_survives_json(event):
    assert Event.from_dict(json.loads(json.dumps(event.to_dict()))) == event


@given(COUNTED, st.integers(0, 2**31))
def test_counted_data_infer_an_event_that_accepts_them(event, seed):
    x = torch.randint(event.low, event.high + 1, (7, *event.shape), generator=torch.Generator().manual_seed(seed))
    inferred = Event.infer(x)
    assert inferred.counted and inferred.shape == event.shape
    assert torch.equal(inferred.check_data(x), x) and torch.equal(event.check(x), x)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (torch.rand(9, 3), Event((3,))),
        (torch.rand(9, 1, 4, 4), Event((1, 4, 4))),
        (torch.tensor([[0, 1], [1, 0]]), Event((2,), "binary")),
        (torch.tensor([[True], [False]]), Event((1,), "binary")),
        (torch.tensor([[0.0, 1.0], [1.0, 0.0]]), Event((2,), "binary")),
        (torch.tensor([[-2, 5], [3, 0]]), Event((2,), "integer", low=-2, high=5)),
        (torch.tensor([[0.0, 16.0], [3.0, 1.0]]), Event((2,), "integer", low=0, high=16)),
        (torch.tensor([[0.0, 1e6], [3.0, 1.0]]), Event((2,))),
        (torch.tensor([[3, 7]], dtype=torch.uint8), Event((2,), "integer", low=0, high=255)),
        (torch.tensor([[0.5, float("nan")], [0.1, 0.2]]), Event((2,), missing=True)),
        (torch.tensor([[2.0, float("nan")], [5.0, 9.0]]), Event((2,), "integer", low=2, high=9, missing=True)),
    ],
)
def test_inference(x, expected):
    assert Event.infer(x) == expected
    assert Event.infer(x.numpy()) == expected


def test_inferred_labels_have_no_order():
    assert Event.infer_context(np.array([0, 2, 1])) == Event((), "category", levels=3)
    assert Event.infer_context(torch.rand(4, 2)) == Event((2,))
    with pytest.raises(ValueError, match="negative label"):
        Event.infer_context([0, -1])


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (torch.rand(5), r"\[:, None\]"),
        (torch.tensor(1.0), "shape"),
        (torch.tensor([[1.0, float("inf")]]), "infinity"),
        (torch.tensor([[1.0, float("nan")], [2.0, float("nan")]]), "only NaN in column 1"),
    ],
)
def test_what_cannot_be_inferred_is_refused(x, says):
    with pytest.raises(ValueError, match=says):
        Event.infer(x)


@pytest.mark.parametrize(
    ("event", "x", "says"),
    [
        (Event((3, 8, 8)), torch.zeros(5, 8, 8, 3), "channels come first"),
        (Event((3,)), torch.zeros(5, 4), r"expected x of shape \(..., 3\), got \(5, 4\)"),
        (Event((3,)), torch.zeros(()), "expected x of shape"),
        (Event((2,), "binary"), torch.tensor([[0, 2]]), r"0\.\.1"),
        (Event((2,), "integer", low=-1, high=4), torch.tensor([[0, 5]]), r"-1\.\.4"),
        (Event((2,), "category", levels=3), torch.tensor([[0.5, 1]]), "whole numbers"),
    ],
)
def test_check_says_what_was_expected(event, x, says):
    with pytest.raises(ValueError, match=says):
        event.check(x)


@pytest.mark.parametrize(
    ("event", "x", "says"),
    [
        (Event((2,)), torch.tensor([[1.0, 2.0], [1.0, 3.0]]), "constant column 0"),
        (Event((2,)), torch.tensor([1.0, 2.0]), "leading batch axis"),
        (Event((2,)), torch.tensor([[1.0, float("nan")], [1.5, 3.0]]), "without NaN"),
        (Event((1,), "bounded", low=0, high=1), torch.tensor([[0.5], [1.5]]), r"in \[0, 1\]"),
        (Event((1,), "positive"), torch.tensor([[0.5], [0.0]]), "positive"),
    ],
)
def test_a_fit_refuses_more(event, x, says):
    with pytest.raises(ValueError, match=says):
        event.check_data(x)


def test_any_leading_dims_and_variable_lengths_pass():
    assert Event((2,)).check(torch.zeros(4, 5, 2)).shape == (4, 5, 2)
    assert Event((None,), "tokens", levels=3).check(torch.zeros(4, 9, dtype=torch.long)).shape == (4, 9)


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"kind": "tall"}, "kind among"),
        ({"kind": "category"}, "levels="),
        ({"kind": "bounded", "low": 2, "high": 1}, "low < high"),
    ],
)
def test_impossible_events_are_refused(entries, says):
    with pytest.raises(ValueError, match=says):
        Event((2,), **entries)


@pytest.mark.parametrize("entries", [{}, {"shape": [1], "odd": 2}, [1], "event"])
def test_a_dictionary_that_is_no_event_is_refused(entries):
    with pytest.raises(ValueError, match="expected an event"):
        Event.from_dict(entries)


def test_derived_numbers():
    event = Event((2, 3), "integer", low=-4, high=3)
    assert (event.levels, event.offset, event.dims, event.counted, event.image) == (8, -4, 6, True, True)
    assert repr(Event((2,))) == "Event(shape=(2,), kind='real')"
