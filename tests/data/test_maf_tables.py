"""The papers' five tables: their files, splits and preprocessing, on small files of the right layout."""

import sys

import numpy as np
import pandas
import pytest
import torch

from fairway.data import load, maf_tables


def save(folder, name, array):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    np.save(folder / name, array)


@pytest.fixture
def noise():
    return np.random.default_rng(0)


def sizes(data):
    return [len(part) for part in (data, data.validation, data.test)]


# -- miniboone --------------------------------------------------------------------------------------------------
def test_the_first_rows_of_miniboone_are_read_split_and_standardised(data_folder, tmp_path):
    raw = np.load(data_folder / "maf_partial" / "miniboone_first1523.npz")["data"]
    save(tmp_path, "miniboone/data.npy", raw)
    data = load("miniboone", folder=tmp_path)
    assert sizes(data) == [1234, 137, 152] and data.x.shape[1] == 43 and data.x.dtype == torch.float32
    assert data.protocol == "preprocessing of Papamakarios et al. (2017), 1,234 of 29,556 training rows"
    both = torch.cat([data.x, data.validation.x]).double()
    assert both.mean(0).abs().max() < 1e-6 and (both.std(0, correction=0) - 1).abs().max() < 1e-6
    whole = torch.cat([both, data.test.x.double()])
    assert np.corrcoef(whole[:, 5], raw[:, 5])[0, 1] > 1 - 1e-9  # the order of the rows is the file's


def test_tables_of_another_width_are_refused(tmp_path):
    save(tmp_path, "miniboone/data.npy", np.ones((20, 42)))
    with pytest.raises(ValueError, match=r"expected miniboone of shape \(n, 43\), got \(20, 42\)"):
        maf_tables.miniboone(tmp_path)


def test_the_published_splits_follow_from_the_files_length():
    for n, name, rest in [
        (2_049_280, "power", (184_435, 204_928)),
        (1_052_065, "gas", (94_685, 105_206)),
        (36_488, "miniboone", (3_284, 3_648)),
    ]:
        train, valid, test = maf_tables._last_tenths(np.empty((n, 0)))
        assert (len(train), len(valid), len(test)) == (maf_tables.ROWS[name], *rest)


# -- power ------------------------------------------------------------------------------------------------------
def test_power_is_shuffled_dequantised_and_two_columns_shorter(tmp_path, noise):
    raw = noise.integers(0, 50, (1000, 8)).astype(float)
    raw[:, 7] = np.arange(1000)  # the time, which gets no noise: it tells the order
    save(tmp_path, "power/data.npy", raw)
    data = maf_tables.power(tmp_path)
    assert sizes(data) == [810, 90, 100] and data.x.shape[1] == 6
    whole = torch.cat([data.x, data.validation.x, data.test.x]).double().numpy()
    order = np.arange(1000)
    np.random.RandomState(42).shuffle(order)
    assert np.array_equal(np.argsort(np.argsort(whole[:, 5])), order)
    steps = whole * raw[order][:900][:, [0, 2, 4, 5, 6, 7]].std(0) - raw[order][:, [0, 2, 4, 5, 6, 7]]
    spread = np.ptp(steps - steps.mean(0), axis=0)
    assert spread[0] < 0.02 and spread[1] < 0.05 and (spread[2:5] > 0.9).all() and (spread[2:5] < 1.5).all()
    assert np.array_equal(maf_tables.power(tmp_path).x, data.x)


# -- gas --------------------------------------------------------------------------------------------------------
def gas_frame(noise, rows=300):
    base = noise.normal(size=(rows, 3))
    sensors = np.column_stack([base[:, 0], base[:, 0] + 0.01 * base[:, 1], base[:, 1], 5 + 2 * base[:, 2]])
    frame = pandas.DataFrame(sensors, columns=["1", "2", "3", "4"])
    return frame.assign(Time=np.arange(rows), Meth=0.0, Eth=1.0)[["Time", "Meth", "Eth", "1", "2", "3", "4"]]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_gas_keeps_one_of_columns_that_go_together(kind, tmp_path, noise):
    frame = gas_frame(noise)
    (tmp_path / "gas").mkdir()
    path = tmp_path / "gas" / f"ethylene_CO.{kind}"
    frame.to_parquet(path) if kind == "parquet" else frame.to_csv(path, index=False)
    data = load("gas", folder=tmp_path)
    assert sizes(data) == [243, 27, 30] and data.x.shape[1] == 3
    whole = torch.cat([data.x, data.validation.x, data.test.x]).numpy()
    expected = frame[["2", "3", "4"]]  # of a pair, the paper drops the first
    assert np.allclose(whole, (expected - expected.mean()) / expected.std(), atol=1e-5)


def test_a_pickle_alone_is_not_opened_but_explained(tmp_path):
    (tmp_path / "gas").mkdir()
    (tmp_path / "gas" / "ethylene_CO.pickle").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(FileNotFoundError, match=r"only the pickle.*convert it once where you trust it.*to_parquet"):
        maf_tables.gas(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"ethylene_CO\.parquet; get them from https://zenodo"):
        maf_tables.gas(tmp_path / "elsewhere")


def test_gas_without_its_columns_is_refused(tmp_path, noise):
    gas_frame(noise).drop(columns="Eth").to_csv(tmp_path / "ethylene_CO.csv", index=False)
    with pytest.raises(ValueError, match="expected the columns Time, Meth and Eth in gas, got none named Eth"):
        maf_tables.gas(tmp_path)


# -- hepmass ----------------------------------------------------------------------------------------------------
def test_hepmass_is_the_signal_without_columns_that_repeat(tmp_path, noise):
    (tmp_path / "hepmass").mkdir()
    for part, rows, more in (("train", 200, 0), ("test", 80, 1)):
        label = (np.arange(rows) % 2)[:, None]
        features = noise.normal(3, 2, (rows, 4))
        features[:, 2] = np.clip(features[:, 2], 2, None)  # the smallest value comes often
        table = np.hstack([label, features, np.full((rows, more), 1000.0)])
        header = "# label," + ",".join(f"f{i}" for i in range(4 + more))
        np.savetxt(tmp_path / "hepmass" / f"1000_{part}.csv", table, delimiter=",", header=header, comments="")
    data = maf_tables.hepmass(tmp_path)
    assert sizes(data) == [90, 10, 40] and data.x.shape[1] == data.test.x.shape[1] == 3
    both = torch.cat([data.x, data.validation.x]).double()
    assert both.mean(0).abs().max() < 1e-6 and (both.std(0) - 1).abs().max() < 1e-6
    assert 0.5 < data.test.x.std() < 1.5 and data.test.x.mean().abs() < 0.5  # in the training rows' units


# -- bsds300 ----------------------------------------------------------------------------------------------------
def test_patches_come_from_hdf5_as_they_are(tmp_path, noise):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "BSDS300").mkdir()
    parts = {name: noise.normal(size=(n, 63)) for name, n in (("train", 30), ("validation", 10), ("test", 20))}
    with h5py.File(tmp_path / "BSDS300" / "BSDS300.hdf5", "w") as file:
        for name, x in parts.items():
            file[name] = x
    data = load("bsds300", folder=tmp_path)
    assert sizes(data) == [30, 10, 20] and np.allclose(data.test.x, parts["test"], atol=1e-6)
    (tmp_path / "BSDS300" / "BSDS300.hdf5").write_bytes(b"no such file")
    with pytest.raises(ValueError, match="expected the parts train, validation and test"):
        maf_tables.bsds300(tmp_path)


def test_absent_h5py_is_a_clear_error(tmp_path, monkeypatch):
    (tmp_path / "BSDS300.hdf5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"h5py for the dataset bsds300.*pip install fairway\[data\]"):
        maf_tables.bsds300(tmp_path)
