"""Parquet files as tensors, their footers, and what is refused by the name of the file."""

import math

import numpy as np
import pytest
import torch

from fairway.data.shards import Shards

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(path, **columns):
    pq.write_table(pa.table(columns), path, row_group_size=4)
    return path


@pytest.fixture
def shards(tmp_path):
    a = write(tmp_path / "a.parquet", u=np.arange(10.0), v=np.arange(10) * 2.0, y=np.arange(10) % 3)
    b = write(tmp_path / "b.parquet", u=np.arange(5.0), v=np.ones(5), y=np.array([0, 1, 4, 1, 0]))
    return [a, b]


def test_groups_and_their_rows(shards):
    found = Shards(shards, labels="y")
    assert [(g.path.name, g.number, g.rows) for g in found.groups] == [
        ("a.parquet", 0, 4), ("a.parquet", 1, 4), ("a.parquet", 2, 2), ("b.parquet", 0, 4), ("b.parquet", 1, 1),
    ]  # fmt: skip
    x, labels = found.read(found.groups[1])
    assert x.tolist() == [[4, 8], [5, 10], [6, 12], [7, 14]] and labels.tolist() == [1, 2, 0, 1]
    assert found.columns == ("u", "v") and found.levels() == 5
    assert Shards(shards, columns=["v"]).read(found.groups[0])[0].tolist() == [[0], [2], [4], [6]]
    assert Shards(shards, columns=["y"]).range() == (0, 4)


@pytest.mark.parametrize(
    ("columns", "dtype"),
    [
        ({"a": np.ones(3, np.float32)}, torch.float32),
        ({"a": np.ones(3, np.float16)}, torch.float32),
        ({"a": np.ones(3, np.float32), "b": np.ones(3)}, torch.float64),
        ({"a": np.ones(3, np.int32), "b": np.ones(3, np.int32)}, torch.int32),
        ({"a": np.ones(3, np.uint16)}, torch.int64),
        ({"a": np.ones(3, np.uint8)}, torch.uint8),
        ({"a": np.ones(3, bool)}, torch.bool),
        ({"a": np.ones(3, bool), "b": np.ones(3, np.int64)}, torch.float64),
    ],
)
def test_types(columns, dtype, tmp_path):
    found = Shards([write(tmp_path / "t.parquet", **columns)])
    assert found.read(found.groups[0])[0].dtype == dtype


def test_nulls_are_gaps_among_floats_and_refused_among_whole_numbers(tmp_path):
    found = Shards([write(tmp_path / "t.parquet", a=pa.array([1.0, None]))])
    assert math.isnan(found.read(found.groups[0])[0][1])
    found = Shards([write(tmp_path / "t.parquet", a=pa.array([1, None]))])
    with pytest.raises(ValueError, match=r"whole numbers in column 'a' of .*t\.parquet, got nulls"):
        found.read(found.groups[0])


def test_damaged_and_changed_files_are_named(shards, tmp_path):
    found = Shards(shards)
    whole = shards[1].read_bytes()
    shards[1].write_bytes(whole[:60] + bytes(80) + whole[140:])
    with pytest.raises(ValueError, match=r"got a truncated or damaged .*b\.parquet"):
        found.read(found.groups[3])
    shards[1].write_bytes(whole[:-30])
    with pytest.raises(ValueError, match=r"got a truncated or damaged .*b\.parquet"):
        Shards(shards)
    write(shards[1], u=np.arange(3.0), v=np.ones(3), y=np.arange(3))
    for group in found.groups[3:]:
        with pytest.raises(ValueError, match=r"of .*b\.parquet: it changed"):
            found.read(group)


def test_tables_that_do_not_fit_are_refused(shards, tmp_path):
    other = write(tmp_path / "c.parquet", u=np.ones(2))
    with pytest.raises(ValueError, match=r"columns of .*a\.parquet in every file, got others in .*c\.parquet"):
        Shards([*shards, other])
    with pytest.raises(ValueError, match=r"in column 'b'; encode it, or choose columns="):
        Shards([write(tmp_path / "d.parquet", a=np.ones(2), b=["x", "y"])])
    with pytest.raises(ValueError, match="expected labels= as a column of the table, got 'z'"):
        Shards(shards, labels="z")
    with pytest.raises(ValueError, match="without any"):
        Shards([write(tmp_path / "e.parquet", a=np.ones(0))])
    with pytest.raises(ValueError, match="a negative label -1"):
        Shards([write(tmp_path / "f.parquet", a=np.ones(2), y=[-1, 2])], labels="y").levels()


def test_footers_tell_other_values_of_the_same_length(shards):
    before = list(Shards(shards).footers())
    assert [name for name, _ in before] == ["a.parquet", "b.parquet"]
    write(shards[1], u=np.arange(5.0) + 1, v=np.ones(5), y=np.array([0, 1, 4, 1, 0]))
    after = list(Shards(shards).footers())
    assert before[0] == after[0] and before[1] != after[1]
