"""One pass over chunks sees what a look at the whole array sees."""

import math

import pytest
import torch

from fairway.core import extent as module
from fairway.core.extent import Extent, chunks


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(module, "ENTRIES", 12)
    monkeypatch.setattr(module, "BESIDE", 6)


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(50, 3), (7, 2, 2), (40,), (5, 30), (1, 1)])
def test_the_span_of_chunks_is_the_span_of_all(shape):
    x = draw(*shape)
    found = Extent.of(x)
    flat = x.reshape(len(x), -1)
    assert torch.equal(found.low, flat.amin(0)) and torch.equal(found.high, flat.amax(0))
    assert found.range == (float(x.min()), float(x.max()))
    assert not found.whole and Extent.of(x.round()).whole


@pytest.mark.parametrize("shape", [(50, 3), (7, 2, 2), (40,), (5, 30)])
def test_the_span_of_all_entries_together(shape):
    x = draw(*shape)
    assert Extent.of(x, each=False).range == Extent.of(x).range and len(Extent.of(x, each=False).low) == 1
    x[3], x[1] = math.nan, math.inf
    assert Extent.of(x, each=False).gap == Extent.of(x).gap == [3] + [0] * (x.ndim - 1)
    assert Extent.of(x, each=False).infinity == [1] + [0] * (x.ndim - 1)


def test_a_fraction_anywhere_is_seen():
    x = torch.arange(100.0).reshape(50, 2)
    assert Extent.of(x).whole
    x[49, 1] += 0.5
    assert not Extent.of(x).whole


def test_gaps_leave_the_span_of_what_is_there():
    x = draw(50, 3)
    x[20:40, 1] = math.nan
    x[:, 2] = math.nan
    found = Extent.of(x)
    assert found.gap == [0, 2] and found.infinity is None
    assert found.low[1] == x[:, 1].nan_to_num(math.inf).min()
    assert found.low[2] > found.high[2], "a column of gaps alone has no range"


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_the_first_infinity_is_found_between_gaps(value):
    x = draw(50, 3)
    x[30, 1], x[44, 0], x[30, 0] = value, value, math.nan
    assert Extent.of(x).infinity == [30, 1]
    assert Extent.of(x).gap == [30, 0]


def test_whole_types():
    assert Extent.of(torch.tensor([[True], [False]])).range == (0, 1)
    assert Extent.of(torch.arange(60, dtype=torch.uint8).reshape(20, 3)).range == (0, 59)


def test_chunks_are_views_of_few_rows():
    x = draw(50, 3)
    assert [len(part) for part in chunks(x)] == [4] * 12 + [2]
    assert chunks(x)[3].data_ptr() == x[12:].data_ptr()
    assert [len(part) for part in chunks(draw(3, 40))] == [1, 1, 1]
