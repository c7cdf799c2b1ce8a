"""Mapped arrays: the file's memory itself, never written to, never copied as a whole."""

import numpy as np
import pytest
import torch

from fairway.data import load
from fairway.data import memory_map as module
from fairway.data.memory_map import as_mapped, columns_of, is_mapped, open_npy


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


@pytest.fixture
def path(x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    return tmp_path / "x.npy"


@pytest.mark.parametrize("mode", ["r", "c", "r+"])
def test_a_tensor_over_the_files_memory(path, x, mode):
    array = np.load(path, mmap_mode=mode)
    tensor = as_mapped(array)
    assert tensor.data_ptr() == array.ctypes.data
    assert torch.equal(tensor, torch.from_numpy(x))


def test_what_is_written_to_the_array_never_reaches_the_file(path, x):
    as_mapped(open_npy(path))[0] = 7.0
    assert np.array_equal(np.load(path), x)


def test_only_arrays_over_files_are_mapped(path, x):
    array = np.load(path, mmap_mode="r")
    assert is_mapped(array) and is_mapped(array[3:])
    assert not is_mapped(x) and not is_mapped(array[[1, 2]]) and not is_mapped(np.asarray(array))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: x.astype(np.float16), "got dtype <f2"),
        (lambda x: x.astype(">f4"), "got dtype >f4"),
        (lambda x: x.astype(np.complex64), "got dtype <c8"),
        (lambda x: np.zeros((3, 0), np.float32), "truncated|empty"),
    ],
)
def test_what_cannot_be_mapped_is_refused(change, says, x, tmp_path):
    np.save(tmp_path / "x.npy", change(x))
    with pytest.raises(ValueError, match=says):
        as_mapped(open_npy(tmp_path / "x.npy"))


def test_rows_backwards_cannot_be_mapped(path):
    with pytest.raises(ValueError, match="with strides"):
        as_mapped(np.load(path, mmap_mode="r")[::-1])


def test_columns_in_a_row_are_a_view(path):
    x = as_mapped(open_npy(path))
    assert columns_of(x, [1, 2], mapped=True).data_ptr() == x[:, 1:].data_ptr()
    assert torch.equal(columns_of(x, [2, 0], mapped=False), x[:, [2, 0]])
    with pytest.raises(ValueError, match=r"in a row, as in 3, 4, 5; got \[2, 0\]"):
        columns_of(x, [2, 0], mapped=True)


# -- through load ---------------------------------------------------------------------------------------------------
def test_a_mapped_array_stays_mapped_and_is_the_same_data(path, x):
    array = np.load(path, mmap_mode="r")
    data, copied = load(array), load(x)
    assert data.mapped and data.x.data_ptr() == array.ctypes.data
    assert (data.digest, data.event, data.protocol) == (copied.digest, copied.event, copied.protocol)
    assert load(data).mapped, "a data set stays what it is"


def test_a_large_file_is_mapped(path, x, monkeypatch):
    assert not load(path).mapped
    monkeypatch.setattr("fairway.data.dataset.LARGE", 100)
    data = load(path)
    assert data.mapped and torch.equal(data.x, torch.from_numpy(x))
    assert load(path, columns=[1, 2]).x.shape == (50, 2)
    with pytest.raises(ValueError, match="to choose columns from"):
        np.save(path, x.reshape(50, 2, 2))
        load(path, columns=[0])


def test_a_few_rows_are_copied_and_many_refused(path, monkeypatch):
    data = load(np.load(path, mmap_mode="r"))
    few = data.rows(torch.arange(3))
    assert not few.mapped and len(few) == 3
    monkeypatch.setattr("fairway.data.dataset.LARGE", 100)
    with pytest.raises(ValueError, match="expected fewer rows of the mapped array at a time, got 45"):
        data.split(0.1)


def test_damaged_files_are_refused(path, monkeypatch, tmp_path):
    monkeypatch.setattr("fairway.data.dataset.LARGE", 100)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"got a truncated or damaged .*x\.npy"):
        load(path)
    np.save(path, np.array([{"a": 1}] * 20), allow_pickle=True)
    with pytest.raises(ValueError, match="pickles can run code"):
        load(path)
    path.write_bytes(b"\x80\x04" + bytes(200))
    with pytest.raises(ValueError, match="pickles can run code"):
        load(path)
    np.save(path, np.zeros(100, np.float32))
    with pytest.raises(ValueError, match=r"save x\[:, None\]"):
        load(path)


def test_the_limit_is_a_gibibyte():
    assert module.LARGE == 2**30
