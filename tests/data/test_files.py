"""Files: what is read comes back exactly, what cannot be used is refused with the place and a remedy."""

import gzip
import io
import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from fairway.data.files import column_indices, read_file

X = np.random.default_rng(0).normal(size=(6, 3)) * [40, 1, 1e-3]


class Trap:
    """An object whose unpickling would be noticed."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


# -- what is read -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16", ">f8", ">i4", "bool"])
def test_npy_keeps_values_and_precision(tmp_path, dtype):
    array = np.abs(X).astype(dtype)
    np.save(tmp_path / "x.npy", array)
    x, names = read_file(tmp_path / "x.npy")
    assert np.array_equal(x.numpy(), array) and names is None
    assert x.is_floating_point() == (array.dtype.kind == "f")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_by_its_only_array_or_by_key(tmp_path, save):
    save(tmp_path / "one.npz", x=X)
    save(tmp_path / "two.npz", a=X, b=2 * X)
    assert np.array_equal(read_file(tmp_path / "one.npz")[0].numpy(), X)
    assert np.array_equal(read_file(f"{tmp_path}/two.npz:b")[0].numpy(), 2 * X)
    with pytest.raises(ValueError, match=r"one array in .*two\.npz, got 2: a, b; name one, as in two\.npz:a"):
        read_file(tmp_path / "two.npz")
    with pytest.raises(ValueError, match="got 'c'; known: a, b"):
        read_file(f"{tmp_path}/two.npz:c")


@pytest.mark.parametrize("suffix, delimiter", [("csv", ","), ("csv", ";"), ("tsv", "\t"), ("txt", " "), ("txt", ",")])
@pytest.mark.parametrize("header", [None, ("width", "height", "2019")])
@pytest.mark.parametrize("packed", [False, True])
def test_text_tables(tmp_path, suffix, delimiter, header, packed):
    rows = ([delimiter.join(header)] if header else []) + [delimiter.join(map(repr, row)) for row in X.tolist()]
    text = "# a comment\n" + "\n".join(rows) + "\n\n"
    path = tmp_path / (f"x.{suffix}.gz" if packed else f"x.{suffix}")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    x, names = read_file(path)
    assert np.array_equal(x.numpy(), X) and names == header


def test_missing_cells_quotes_and_chosen_columns(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('\ufeff"name","a, b",c\n"x",1,\n"y",NA,2.5\n', encoding="utf-8")
    x, names = read_file(path, columns=["c", "a, b"])
    assert names == ("c", "a, b")
    assert torch.equal(x.nan_to_num(-1), torch.tensor([[-1, 1], [2.5, -1]], dtype=torch.float64))


def test_one_column_and_one_row(tmp_path):
    (tmp_path / "column.csv").write_text("1.5\n2.5\n")
    (tmp_path / "row.txt").write_text("1.5 2.5")
    assert read_file(tmp_path / "column.csv")[0].shape == (2, 1)
    assert read_file(tmp_path / "row.txt")[0].shape == (1, 2)


def test_parquet(tmp_path):
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(flag=[True, False] * 3, count=[1, 2, None, 4, 5, 6])
    frame.assign(word="text").to_parquet(tmp_path / "x.parquet")
    x, names = read_file(tmp_path / "x.parquet", columns=["b", "flag", "count"])
    assert names == ("b", "flag", "count") and x.dtype == torch.float64
    assert torch.equal(x[:, 0], torch.tensor(X[:, 1])) and x[2, 2].isnan()
    with pytest.raises(ValueError, match=r"numeric table, got text .*'word'"):
        read_file(tmp_path / "x.parquet")


def test_published_tables(data_folder):
    assert read_file(data_folder / "tabular" / "uci_wine.csv.gz")[0].shape == (1599, 12)
    assert read_file(data_folder / "tabular" / "uci_power-plant.txt.gz")[0].shape == (9568, 5)
    assert read_file(f"{data_folder}/tabular/adbench_thyroid.npz:X")[0].shape == (3772, 6)


# -- what is refused --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv", "x.csv.gz", "x.txt", "x.parquet"])
def test_empty_files(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match="got an empty file"):
        read_file(tmp_path / name)


@pytest.mark.parametrize("text", ["\n\n", "# only a comment\n", "a,b\n"])
def test_tables_without_rows(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match="expected rows of numbers"):
        read_file(tmp_path / "x.csv")


def test_pickles_are_refused_and_never_run(tmp_path):
    trap = np.array([Trap()], dtype=object)
    np.save(tmp_path / "a.npy", trap)
    np.savez(tmp_path / "b.npz", x=trap)
    (tmp_path / "c.npy").write_bytes(pickle.dumps(Trap()))
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(Trap()))
    for name in ("a.npy", "b.npz", "c.npy"):
        with pytest.raises(ValueError, match=f"{name}, got a pickled array: pickles can run code and are refused"):
            read_file(tmp_path / name)
    with pytest.raises(ValueError, match=r"got 'd\.pkl'; pickled files are refused"):
        read_file(tmp_path / "d.pkl")


@pytest.mark.parametrize(
    "text, place",
    [
        ("a,b\n1,2\n3,x\n", "'x' in line 3, column 'b'"),
        ("1,2\n3,x\n", "'x' in line 2, column 1"),
        ("5.1,setosa\n4.9,setosa\n", "'setosa' in line 1, column 1"),
        ("# note\n\n1 2\n3 4_0\n", "'4_0' in line 4, column 1"),
    ],
)
def test_text_is_found(tmp_path, text, place):
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(ValueError, match=f"expected numbers in .*, got text {place}; encode it .*columns="):
        read_file(tmp_path / "x.txt")


@pytest.mark.parametrize("text", ["a,b\n1,2\n3\n", "1,2\n1,2,3\n1,2\n", "a,b\n1,2,3\n4,5,6\n"])
def test_ragged_lines_are_found(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=r"expected 2 cells in every line of .*, got \d in line \d"):
        read_file(tmp_path / "x.csv")


@pytest.mark.parametrize("data", [b"\xff\xfe1,2", b"1,2\n\x00,3\n"])
def test_bytes_that_are_no_text(tmp_path, data):
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(ValueError, match=r"expected (text|a table|numbers)"):
        read_file(tmp_path / "x.csv")


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv.gz", "x.parquet"])
def test_truncated_files(tmp_path, name):
    whole = io.BytesIO()
    if name == "x.npy":
        np.save(whole, X)
    elif name == "x.npz":
        np.savez_compressed(whole, x=X)
    elif name == "x.csv.gz":
        whole.write(gzip.compress(repr(X.tolist()).encode()))
    else:
        pd.DataFrame(X, columns=["a", "b", "c"]).to_parquet(whole)
    for keep in (1, 30, len(whole.getvalue()) - 9):
        (tmp_path / name).write_bytes(whole.getvalue()[:keep])
        with pytest.raises(ValueError, match=f"truncated or damaged .*{name}"):
            read_file(tmp_path / name)


def test_damaged_member_of_an_archive(tmp_path):
    np.savez(tmp_path / "x.npz", x=X)
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[200] ^= 255
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(ValueError, match="truncated or damaged"):
        read_file(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "array", [np.array(1.0), np.ones(3), np.array(["a", "b"]), np.zeros((0, 3)), np.ones((2, 2), complex)]
)
def test_arrays_that_are_no_data(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(ValueError, match="expected"):
        read_file(tmp_path / "x.npy")


def test_unknown_kind_and_wrong_path(tmp_path):
    (tmp_path / "x.xlsx").write_bytes(b"1")
    with pytest.raises(ValueError, match=r"expected a file among \.npy, .*got 'x\.xlsx'; convert"):
        read_file(tmp_path / "x.xlsx")
    with pytest.raises(FileNotFoundError, match="expected a file"):
        read_file(tmp_path / "absent.csv")


@pytest.mark.parametrize("columns", [["z"], [3], [-1], [], "ab"])
def test_unknown_columns(columns):
    with pytest.raises(ValueError, match="expected column"):
        column_indices(columns, ("a", "b", "c"), 3)
    with pytest.raises(ValueError, match="expected column numbers"):
        column_indices(["a"], None, 3)
