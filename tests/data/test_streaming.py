"""One door to data that stay on disk, and what every stream says of itself."""

import numpy as np
import pytest

from fairway.core.event import Event
from fairway.data import Stream, load, stream
from fairway.data.image_stream import ImageStream
from fairway.data.parquet_stream import ParquetStream

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
image = pytest.importorskip("PIL.Image")


@pytest.fixture
def table(tmp_path):
    folder = tmp_path / "table"
    (folder / "deep").mkdir(parents=True)
    for name in ("a", "deep/b"):
        pq.write_table(pa.table({"u": np.arange(6.0), "y": np.arange(6) % 2}), folder / f"{name}.parquet")
    return folder


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            image.fromarray(np.full((2, 3), 40 * i + len(name), np.uint8)).save(folder / name / f"{i}.png")
    return folder


def test_what_lies_there_decides_the_kind(table, images, tmp_path):
    assert type(stream(table)) is ParquetStream and len(stream(table)) == 12
    assert type(stream(table / "a.parquet")) is ParquetStream and len(stream(table / "a.parquet")) == 6
    assert type(stream(str(images))) is ImageStream
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(5, 2)))
    assert stream(tmp_path / "x.npy").mapped
    assert type(load(table, stream=True)) is ParquetStream, "load opens the same door"


def test_the_record_opens_the_same_data_again(table):
    data = stream(table, columns=["u"], labels="y", protocol="counts of cars")
    record = data.describe()
    assert (record["name"], record["n"], record["protocol"]) == ("table", 12, "counts of cars")
    again = load(record["source"], event=Event.from_dict(record["event"]), **record["options"])
    assert again.describe() == record and again.digest == data.digest
    assert repr(data) == f"ParquetStream(name='table', n=12, event={data.event})"


def test_a_mapped_file_opens_again(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(5, 2)))
    record = stream(tmp_path / "x.npy").describe()
    again = load(record["source"], event=Event.from_dict(record["event"]), **record["options"])
    assert again.mapped and again.digest == record["digest"]


def test_the_digest_sees_names_and_sizes(images):
    before = stream(images).digest
    assert stream(images).digest == before
    (images / "cat" / "0.png").rename(images / "cat" / "00.png")
    renamed = stream(images).digest
    image.fromarray(np.zeros((2, 3), np.uint8)).save(images / "cat" / "00.png", compress_level=0)
    assert len({before, renamed, stream(images).digest}) == 3


def test_a_few_rows_for_a_look(table):
    data = stream(table, labels="y").sample(8, seed=1)
    assert len(data) == 8 and data.labels.tolist() == [int(x) % 2 for x in data.x[:, 0]]
    with pytest.raises(ValueError, match="a folder of its own"):
        stream(table).split(0.1)


def test_paths_that_cannot_be_streamed(table, images, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"expected a folder, a \.parquet or a \.npy file to stream, got 't\.csv'"):
        stream(tmp_path / "t.csv")
    with pytest.raises(ValueError, match="got nothing"):
        stream(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"got a\.parquet, deep; stream them \(stream=True\)"):
        load(table)
    with pytest.raises(FileNotFoundError, match="did you mean 'images'"):
        stream(tmp_path / "imagse")
    for wrong in ({"columns": ["u"]}, {"labels": "y"}):
        with pytest.raises(ValueError, match="expected columns= and labels= with parquet files"):
            stream(images, **wrong)
    with pytest.raises(ValueError, match="expected labels= with parquet files"):
        stream(tmp_path / "x.npy", labels="y")
    with pytest.raises(ValueError, match="expected a path to stream"):
        load([[1.0, 2.0]], stream=True)


def test_hidden_files_are_left_out(table):
    (table / "_logs").mkdir()
    (table / "_logs" / "x.parquet").write_bytes(b"junk")
    (table / ".x.parquet").write_bytes(b"junk")
    assert len(stream(table)) == 12


def test_streams_are_abstract():
    with pytest.raises(TypeError):
        Stream(None)
