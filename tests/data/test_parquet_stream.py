"""A table in shards: its event, rows from all over it, batches of every row once."""

import numpy as np
import pytest
import torch

from fairway.core.event import Event
from fairway.data import stream

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
ALL = torch.empty(0, dtype=torch.long)


def write(folder, shards=3, rows=40, **columns):
    """Column "id" counts all rows; others are functions of it."""
    folder.mkdir(exist_ok=True)
    for i in range(shards):
        number = np.arange(i * rows, (i + 1) * rows)
        made = {"id": number.astype(np.float64), **{name: f(number) for name, f in columns.items()}}
        pq.write_table(pa.table(made), folder / f"{i}.parquet", row_group_size=16)
    return folder


@pytest.fixture
def table(tmp_path):
    return write(tmp_path / "t", v=lambda n: np.sin(n), y=lambda n: n % 3)


def test_rows_by_number(table):
    data = stream(table, labels="y")
    x, labels = data.read(torch.tensor([0, 15, 16, 39, 40, 119]))
    assert x[:, 0].tolist() == [0, 15, 16, 39, 40, 119]
    assert labels.tolist() == [0, 0, 1, 0, 1, 2]
    assert data.event == Event((2,)) and data.label_event == Event((), "category", levels=3)


@pytest.mark.parametrize("count", [1, 5, 50, 120])
def test_chosen_rows_come_from_all_over(table, count):
    data = stream(table)
    index = data.choose(count, 4)
    assert len(index) == count and torch.equal(index, index.unique())
    assert torch.equal(index, data.choose(count, 4))
    if count == 50:
        assert len((index // 16).unique()) == 8 and not torch.equal(index, data.choose(count, 5))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_holds_every_row_that_is_not_held_out(table, workers):
    data = stream(table, labels="y", workers=workers)
    without = data.choose(20, 1)
    read = data.reader(0, 10, (0, 1), without)
    parts = [read(k) for k in range(10)]
    rows = torch.cat([x[:, 0] for x, _ in parts]).long()
    assert sorted(rows.tolist()) == sorted(set(range(120)) - set(without.tolist()))
    assert torch.equal(torch.cat([labels for _, labels in parts]), rows % 3)
    later = data.reader(0, 10, (0, 1), without)
    assert torch.equal(later(7)[0], parts[7][0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (lambda n: np.where(n == 77, 900, n % 5), Event((1,), "integer", low=0, high=900)),
        (lambda n: n % 2, Event((1,), "binary")),
        (lambda n: np.where(n % 7, np.cos(n), np.nan), Event((1,), missing=True)),
        (lambda n: (n % 11).astype(np.float32), Event((1,), "integer", low=0, high=10)),
        (lambda n: (n % 200).astype(np.uint8), Event((1,), "integer", low=0, high=255)),
    ],
    ids=["one large value", "binary", "gaps", "whole floats", "bytes"],
)
def test_events_are_inferred_from_rows_and_footers(values, expected, tmp_path, monkeypatch):
    monkeypatch.setattr("fairway.data.parquet_stream.SAMPLE", 60)
    assert stream(write(tmp_path / "t", v=values), columns=["v"]).event == expected


def test_a_value_that_the_event_does_not_allow_names_its_file(tmp_path):
    folder = write(tmp_path / "t", v=lambda n: np.where(n == 95, np.inf, np.cos(n)))
    data = stream(folder, event=Event((2,)))
    read = data.reader(0, 40, (0, 1), ALL)
    with pytest.raises(
        ValueError, match=r"expected finite .*2\.parquet \(row group 0\), got an infinity at index \[15, 1\]"
    ):
        [read(k) for k in range(3)]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_file_is_named(table, workers):
    data = stream(table, workers=workers)
    path = table / "1.parquet"
    path.write_bytes(path.read_bytes()[:200])
    read = data.reader(0, 40, (0, 1), ALL)
    with pytest.raises(ValueError, match=r"got a truncated or damaged .*1\.parquet"):
        [read(k) for k in range(3)]
