"""Held-out rows by the seed; units of a mapped file are those of the same rows in memory."""

import pytest
import torch

from fairway.core import extent
from fairway.core.event import Event
from fairway.core.preprocessing import continuous
from fairway.data import order
from fairway.training.split import split
from fairway.training.table import Table

CPU = torch.device("cpu")


@pytest.fixture
def x():
    return torch.randn(300, 3, generator=torch.Generator().manual_seed(0)) * 5 + 2


@pytest.mark.parametrize("small", [4, 10_000], ids=["orders as functions", "orders as tensors"])
def test_two_parts_hold_every_row_once(x, small, monkeypatch):
    monkeypatch.setattr(order, "SMALL", small)
    parts, stays = split(Table(x), 60, seed=3), split(Table(x, device=CPU), 60, seed=3)
    assert (len(parts.train), len(parts.held_out)) == (240, 60)
    together = torch.cat([parts.train.x, parts.held_out.x])
    assert torch.equal(together.sort(0).values, x.sort(0).values) and not torch.equal(together, x)
    assert torch.equal(stays.train.rows(torch.arange(240)).x, parts.train.x)
    assert torch.equal(stays.held_out.rows(torch.arange(60)).x, parts.held_out.x)
    assert stays.train.x is x


def test_nothing_is_held_out_where_nothing_would_be_left(x):
    for held in (0, 300, 301):
        parts = split(Table(x), held, seed=0)
        assert parts.train.x is x and parts.held_out is None


@pytest.mark.parametrize("entries", [60, 1 << 22])
@pytest.mark.parametrize("held", [0, 60])
def test_units_do_not_depend_on_where_the_rows_are(x, held, entries, monkeypatch):
    monkeypatch.setattr(extent, "ENTRIES", entries)
    measured = []
    for table in (Table(x), Table(x, device=CPU)):
        units, parts = continuous(Event((3,))), split(table, held, seed=1)
        units.fit_chunks(parts.measured("x", CPU))
        measured.append(units.mean)
        torch.testing.assert_close(units.mean, parts.train.rows(torch.arange(300 - held)).x.double().mean(0))
    assert torch.equal(*measured)
