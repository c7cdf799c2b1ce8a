"""`load` by name, path and array; digests, protocols, splits; and every refusal says what to do."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fairway.core.event import Event
from fairway.data import Dataset, load

X = np.random.default_rng(0).normal(size=(20, 3))


# -- by name ----------------------------------------------------------------------------------------------------
def test_names_and_their_options():
    data = load("eight_gaussians", n=50, seed=3)
    assert data.x.shape == (50, 2) and data.name == "ring" and data.source == "eight_gaussians"
    assert data.options == {"n": 50, "seed": 3}
    assert load(data.source, **data.options).digest == data.digest != load("ring", n=50).digest


def test_columns_of_a_named_table():
    data = load("wine", columns=["hue", 0])
    assert data.column_names == ("hue", "alcohol") and data.event.shape == (2,) and data.x.shape == (178, 2)
    assert data.options == {"columns": ["hue", 0]}


@pytest.mark.parametrize("given", [{"folder": "/tmp"}, {"protocol": "grey"}, {"rows": 3}])
def test_options_that_a_name_does_not_take(given):
    with pytest.raises(ValueError, match=rf"options of moons among \(n, seed, noise\), got {next(iter(given))}"):
        load("moons", **given)


# -- arrays -----------------------------------------------------------------------------------------------------
def test_arrays_frames_and_lists():
    assert load(X).x.dtype == torch.float64 and load(X).name == load(X).source == "array"
    assert load(torch.zeros(4, 3, 8, 8, dtype=torch.uint8)).event.shape == (3, 8, 8)
    assert load([[0, 1], [1, 1]]).protocol == "binary"
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(word="text")
    data = load(frame, columns=["c", "a"])
    assert data.column_names == ("c", "a") and np.array_equal(data.x.numpy(), X[:, [2, 0]])
    assert np.array_equal(load(X, columns=[1]).x.numpy(), X[:, [1]])


def test_protocol_follows_the_event_or_the_user():
    assert load(X).protocol == "real"
    assert load(X, protocol="after whitening").protocol == "after whitening"
    assert load(np.arange(12).reshape(4, 3)).protocol == "integers 0..11"
    digits = load("digits", event=Event((8, 8), "real"))
    assert digits.protocol == "real" and digits.event.kind == "real" and load("digits").protocol == "grey levels 0..16"
    assert load(load("digits")).digest == load("digits").digest


def test_missing_values_are_left_to_the_model():
    x = X.copy()
    x[3, 1] = np.nan
    assert load(x).event.missing
    with pytest.raises(ValueError, match="without NaN"):
        load(x, event=Event((3,)))


def replaced(column, value):
    x = X.copy()
    x[:, column] = value
    return x


@pytest.mark.parametrize(
    "x, says",
    [
        (X[:, 0], r"use x\[:, None\]"),
        (np.array(1.0), "expected x of shape"),
        (replaced(1, 0.25), "constant column 1"),
        (replaced(2, np.inf), "infinity"),
        (replaced(0, np.nan), "only NaN in column 0"),
        (np.zeros((0, 3)), "empty array"),
        (np.array([["a", "b"]]), "numbers"),
        ([[1.0], [1.0, 2.0]], "ragged"),
        (None, "numbers"),
    ],
)
def test_arrays_that_are_refused(x, says):
    with pytest.raises(ValueError, match=says):
        load(x)


def test_values_outside_a_given_event():
    with pytest.raises(ValueError, match=r"expected x in 0\.\.1"):
        load([[0, 2], [1, 1]], event=Event((2,), "binary"))
    with pytest.raises(ValueError, match=r"expected .*digits of shape"):
        load("digits", event=Event((64,), "real"))


# -- paths ------------------------------------------------------------------------------------------------------
def test_files_by_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(X, columns=["a", "b", "c"]).to_csv("table.csv", index=False)
    np.savez("two.npz", bits=(X > 0).astype(np.uint8), reals=X)
    data = load("table.csv", columns=["b"])
    assert data.source == data.name == "table.csv" and data.column_names == ("b",)
    assert load(tmp_path / "table.csv").digest == load("./table.csv").digest == load(X).digest
    assert load("two.npz:bits").protocol == "binary" and load("two.npz:bits").source == "two.npz:bits"


def test_whole_numbers_in_text_are_counted(tmp_path):
    path = tmp_path / "bits.csv"
    path.write_text("0,1\n1,0\n1,1\n")
    assert load(path).event.kind == "binary"
    path.write_text("0,7\n1,0\n1,3\n")
    assert load(path).event == Event((2,), "integer", low=0, high=7)


def test_folder_of_images(tmp_path):
    for i, name in enumerate(("a/1.png", "b/2.png")):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(np.full((4, 6), i, dtype=np.uint8)).save(tmp_path / name)
    data = load(tmp_path)
    assert data.x.shape == (2, 1, 4, 6) and data.event.levels == 256 and data.protocol == "grey levels 0..255"
    assert data.label_names == ("a", "b") and data.labels.tolist() == [0, 1] and data.name == tmp_path.name
    with pytest.raises(ValueError, match="columns= with a table"):
        load(tmp_path, columns=[0])


def test_wrong_paths_say_what_is_near(tmp_path):
    (tmp_path / "table.csv").write_text("1,2\n")
    with pytest.raises(FileNotFoundError, match=r"near it: table\.csv"):
        load(tmp_path / "tabel.csv")
    with pytest.raises(FileNotFoundError, match="did you mean the dataset 'digits'"):
        load("digit")
    with pytest.raises(FileNotFoundError, match=r"folder .*absent does not exist"):
        load(tmp_path / "absent" / "x.csv")
    with pytest.raises(FileNotFoundError, match=r"in .*: table\.csv; datasets: moons"):
        load(tmp_path / "zzzzzzzz")
    with pytest.raises(FileNotFoundError, match="got ''"):
        load("")
    with pytest.raises(ValueError, match="expected no n with own data"):
        load(tmp_path / "table.csv", n=3)


@pytest.mark.parametrize(
    "text, says",
    [
        ("0.5,1\n0.5,2.5\n", "constant column 0 in x.csv"),
        ("inf,1\n2,3\n", "infinity"),
        (",1\n,2\n", "only NaN in column 0"),
    ],
)
def test_tables_that_no_model_can_fit(tmp_path, text, says):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=says):
        load(tmp_path / "x.csv")


# -- the record -------------------------------------------------------------------------------------------------
def test_digest_sees_values_labels_shape_and_type():
    x, event = torch.arange(12.0).reshape(6, 2), Event((2,))
    base = Dataset(x, event)
    others = [
        Dataset(x + 1e-6, event),
        Dataset(x, event, labels=torch.zeros(6)),
        Dataset(x.reshape(4, 3), Event((3,))),
        Dataset(x.double(), event),
    ]
    assert base.digest == Dataset(x.clone(), event, name="other").digest
    assert len({base.digest, *(other.digest for other in others)}) == 5
    assert Dataset(x.T.contiguous().T, event).digest == base.digest


def test_description_is_json():
    record = load("digits").describe()
    assert json.loads(json.dumps(record)) == record
    assert set(record) == {"source", "name", "protocol", "digest", "n", "event", "options"}
    assert Event.from_dict(record["event"]) == load("digits").event and record["n"] == 1797


def test_split_keeps_rows_with_their_labels():
    data = load("digits")
    train, held_out = data.split(0.25, seed=1)
    assert len(train) + len(held_out) == 1797 and len(held_out) == 449
    assert train.event == data.event and held_out.protocol == data.protocol
    row = (data.x == held_out.x[0]).flatten(1).all(1).nonzero()[0]
    assert data.labels[row] == held_out.labels[0]
    again = data.split(0.25, seed=1)
    assert again[0].digest == train.digest and data.split(0.25, seed=2)[0].digest != train.digest
    assert len(data.split()[1]) == 180


def test_official_test_split_is_used_unless_a_fraction_is_asked_for():
    test = Dataset(torch.ones(3, 2), Event((2,)))
    data = Dataset(torch.zeros(10, 2), Event((2,)), test=test)
    assert data.split()[1] is test and len(data.split()[0]) == 10
    assert [len(part) for part in data.split(0.2)] == [8, 2]
    assert data.describe()["test"] == {"n": 3, "digest": test.digest}


def test_shapes_that_disagree():
    with pytest.raises(ValueError, match="expected x of shape"):
        Dataset(torch.zeros(3, 2), Event((2, 2)))
    with pytest.raises(ValueError, match="expected labels of shape"):
        Dataset(torch.zeros(3, 2), Event((2,)), labels=torch.zeros(2))
    with pytest.raises(ValueError, match=r"labels of shape \(3,\) or \(3, 4, 5\), got \(3, 4\)"):
        Dataset(torch.zeros(3, 2, 4, 5), Event((2, 4, 5)), labels=torch.zeros(3, 4))
    with pytest.raises(ValueError, match=r"labels of shape \(3,\), got \(3, 2\)"):
        Dataset(torch.zeros(3, 2), Event((2,)), labels=torch.zeros(3, 2))


def test_labels_as_a_context_are_classes_or_maps_of_them():
    x, event = torch.zeros(3, 2, 4, 5), Event((2, 4, 5))
    maps = torch.arange(60).reshape(3, 4, 5) % 7
    data = Dataset(x, event, labels=maps)
    assert data.label_event == Event((4, 5), "category", levels=7)
    assert torch.equal(data.rows(torch.tensor([2, 0])).labels, maps[[2, 0]])
    assert data.digest != Dataset(x, event, labels=maps.flip(0)).digest
    assert Dataset(x, event).label_event is None
    named = Dataset(x, event, labels=torch.tensor([0, 1, 0]), label_names=("a", "b", "c"))
    assert named.label_event == Event((), "category", levels=3)  # a class that happens to be absent is one
    with pytest.raises(ValueError, match="negative label -1"):
        _ = Dataset(x, event, labels=maps - 1).label_event
