"""The five tables on which flows are compared since Papamakarios, Pavlakou and Murray (2017), with their preprocessing.

The files are those of the archive https://zenodo.org/record/1161203, in `folder=` or `$FAIRWAY_DATA`:

    name        file                                   D    rows of train, validation, test
    power       power/data.npy                         6    1,659,917    184,435    204,928
    gas         gas/ethylene_CO.parquet (or .csv)      8      852,174     94,685    105,206
    hepmass     hepmass/1000_train.csv, 1000_test.csv 21      315,123     35,013    174,987
    miniboone   miniboone/data.npy                    43       29,556      3,284      3,648
    bsds300     BSDS300/BSDS300.hdf5                  63    1,000,000     50,000    250,000

Where a test split is not given it is the last tenth of the rows, and validation the last tenth of the others. Every
number published on these sets depends on details that we keep: power is shuffled and dequantised by numpy's
RandomState(42); gas is standardised by all of its rows, the test's among them, the others by training and validation
rows (gas and hepmass with n - 1, power and miniboone with n); of hepmass the columns whose smallest value occurs more
than five times are dropped. Fewer rows than published are accepted, and said in the protocol.

In the archive gas is a pandas pickle, which can run code when it is read: convert it once, where you trust it.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fairway.core.event import Event
from fairway.data.dataset import Dataset
from fairway.data.files import read_file
from fairway.data.locate import Folder, locate, places_in
from fairway.data.optional import need

Array = np.ndarray[Any, Any]
ORIGIN = "https://zenodo.org/record/1161203 (data.tar.gz)"
ROWS = {  # of the training split, as published
    "power": 1_659_917,
    "gas": 852_174,
    "hepmass": 315_123,
    "miniboone": 29_556,
    "bsds300": 1_000_000,
}
CONVERT = (
    "python -c \"import pandas; pandas.read_pickle('ethylene_CO.pickle').rename(columns=str)"
    ".to_parquet('ethylene_CO.parquet')\""
)
CORRELATED, REPEATED, SEED = 0.98, 5, 42


def power(folder: Folder = None) -> Dataset:
    """Electric power consumption of one household, each minute: 6 columns, dequantised.

    Args:
        folder: where power/data.npy (n, 8) lies; default $FAIRWAY_DATA.

    References:
        Papamakarios, Pavlakou and Murray (2017), Masked autoregressive flow for density estimation, appendix D.

    Raises:
        FileNotFoundError: the file is absent; says where it is looked for and where to get it.
        ValueError: a table of another width, a damaged or a pickled file.
    """
    x = _table("power", folder, "data.npy", 8)
    random = np.random.RandomState(SEED)
    random.shuffle(x)
    x = np.delete(x, [1, 3], axis=1)  # the reactive power, and the intensity, which follows from power and voltage
    n = len(x)
    voltage, active, meters = 0.01 * random.rand(n, 1), 0.001 * random.rand(n, 1), random.rand(n, 3)
    x += np.hstack([active, voltage, meters, np.zeros((n, 1))])
    return _dataset("power", *_standardised(*_last_tenths(x)))


def gas(folder: Folder = None) -> Dataset:
    """Sixteen sensors under mixtures of ethylene and CO, of which 8 are left that correlate by less than 0.98.

    Args:
        folder: where gas/ethylene_CO.parquet or .csv lies, with columns Time, Meth, Eth and the sensors'; default
            $FAIRWAY_DATA.

    References:
        Fonollosa et al. (2015), Reservoir computing compensates slow response of chemosensor arrays.

    Raises:
        FileNotFoundError: as `power`; where only the pickle is there, it says how to convert it.
        ValueError: as `power`, or columns that are not there.
        ImportError: .parquet without pandas and pyarrow.
    """
    table, names = read_file(_gas_file(folder))
    missing = {"Time", "Meth", "Eth"} - set(names or ())
    if missing:
        raise ValueError(f"expected the columns Time, Meth and Eth in gas, got none named {', '.join(sorted(missing))}")
    sensors = [i for i, column in enumerate(names or ()) if column not in ("Time", "Meth", "Eth")]
    x = table.double().numpy()[:, sensors]
    x = x[:, _uncorrelated(x)]
    x = (x - x.mean(0)) / x.std(0, ddof=1)
    return _dataset("gas", *_last_tenths(x))


def hepmass(folder: Folder = None) -> Dataset:
    """Simulated collisions of particles, the signal (mass 1000) alone: 21 columns.

    Args:
        folder: where hepmass/1000_train.csv and 1000_test.csv lie, each row a label and its features; default
            $FAIRWAY_DATA.

    References:
        Baldi, Cranmer, Faucett, Sadowski and Whiteson (2016), Parameterized neural networks for high-energy physics.

    Raises:
        FileNotFoundError, ValueError: as `power`.
    """
    files: dict[str, str | None] = {"1000_train.csv": None, "1000_test.csv": None}
    train, test = (read_file(path)[0].double().numpy() for path in locate("hepmass", files, ORIGIN, folder, "hepmass"))
    width = train.shape[1]
    if test.shape[1] not in (width, width + 1):  # the archive's test file has a column more, of no meaning
        raise ValueError(f"expected {width} or {width + 1} columns in 1000_test.csv, got {test.shape[1]}")
    train, test = (part[part[:, 0] == 1, 1:width] for part in (train, test))
    varied = (train == train.min(0)).sum(0) <= REPEATED
    train, test = train[:, varied], test[:, varied]
    mean, std = train.mean(0), train.std(0, ddof=1)
    train, valid = _last_tenth((train - mean) / std)
    return _dataset("hepmass", train, valid, (test - mean) / std)


def miniboone(folder: Folder = None) -> Dataset:
    """Electron neutrinos among muon neutrinos, the signal: 43 columns.

    Args:
        folder: where miniboone/data.npy (n, 43) lies; default $FAIRWAY_DATA.

    References:
        Roe et al. (2005), Boosted decision trees as an alternative to artificial neural networks.

    Raises:
        FileNotFoundError, ValueError: as `power`.
    """
    return _dataset("miniboone", *_standardised(*_last_tenths(_table("miniboone", folder, "data.npy", 43))))


def bsds300(folder: Folder = None) -> Dataset:
    """Image patches as the papers used them: 63 columns (`bsds300_patches` makes such rows from photographs).

    Args:
        folder: where BSDS300/BSDS300.hdf5 lies; default $FAIRWAY_DATA.

    References:
        As `power`.

    Raises:
        FileNotFoundError: as `power`.
        ValueError: no HDF5 file, or one without the three parts (n, 63).
        ImportError: h5py is not installed.
    """
    path = locate("bsds300", {"BSDS300.hdf5": None}, ORIGIN, folder, "BSDS300", "bsds300")[0]
    h5py = need("h5py", "the dataset bsds300")
    try:
        with h5py.File(path, "r") as file:
            parts = [np.asarray(file[part]) for part in ("train", "validation", "test")]
    except (OSError, KeyError) as error:
        raise ValueError(f"expected the parts train, validation and test in {path}, got none ({error})") from error
    for part in parts:
        _check_width("bsds300", part, 63)
    return _dataset("bsds300", *parts)


# -- files ------------------------------------------------------------------------------------------------------
def _table(name: str, folder: Folder, file: str, width: int) -> Array:
    """(n, width) float64, in memory of its own."""
    x: Array = read_file(locate(name, {file: None}, ORIGIN, folder, name)[0])[0].double().numpy()
    _check_width(name, x, width)
    return x


def _check_width(name: str, x: Array, width: int) -> None:
    if x.ndim != 2 or x.shape[1] != width:
        raise ValueError(f"expected {name} of shape (n, {width}), got {x.shape}; is it the archive's file?")


def _gas_file(folder: Folder) -> Any:
    """The converted table; the pickle alone is refused with the way out."""
    files = [place / f"ethylene_CO.{kind}" for place in places_in(folder, "gas") for kind in ("parquet", "csv")]
    found = next((path for path in files if path.is_file()), None)
    if found is not None:
        return found
    pickled = next((path for path in (f.with_suffix(".pickle") for f in files) if path.is_file()), None)
    if pickled is not None:
        raise FileNotFoundError(
            f"expected {pickled.with_suffix('.parquet')} (or .csv), found only the pickle, which can run code and is "
            f"refused; convert it once where you trust it, in {pickled.parent}: {CONVERT}"
        )
    return locate("gas", {"ethylene_CO.parquet": None}, f"{ORIGIN}, then convert it: {CONVERT}", folder, "gas")[0]


# -- preprocessing ----------------------------------------------------------------------------------------------
def _last_tenth(x: Array) -> tuple[Array, Array]:
    held = int(0.1 * len(x))
    return x[: len(x) - held], x[len(x) - held :]


def _last_tenths(x: Array) -> tuple[Array, Array, Array]:
    """Training, validation and test rows."""
    rest, test = _last_tenth(x)
    return (*_last_tenth(rest), test)


def _standardised(train: Array, valid: Array, test: Array) -> tuple[Array, ...]:
    """By the mean and the standard deviation (over n) of training and validation rows."""
    both = np.vstack([train, valid])
    mean, std = both.mean(0), both.std(0)
    return tuple((part - mean) / std for part in (train, valid, test))


def _uncorrelated(x: Array) -> list[int]:
    """Columns left when, from the first on, each goes that another one left follows closely.

    >>> _uncorrelated(np.array([[0.0, 1.0, 0.0], [1.0, 3.0, 0.0], [2.0, 5.0, 1.0]]))
    [1, 2]
    """
    close, left = np.corrcoef(x.T) > CORRELATED, list(range(x.shape[1]))
    while True:
        many = np.flatnonzero(close[np.ix_(left, left)].sum(1) > 1)
        if not len(many):
            return left
        del left[many[0]]


def _dataset(name: str, train: Array, valid: Array, test: Array) -> Dataset:
    """float32 rows, as in the papers, with their official splits."""
    fewer = "" if len(train) == ROWS[name] else f", {len(train):,} of {ROWS[name]:,} training rows"
    protocol = f"preprocessing of Papamakarios et al. (2017){fewer}"
    event = Event(train.shape[1:])
    parts = (
        Dataset(torch.from_numpy(x.astype(np.float32)), event, name=name, source=name, protocol=protocol)
        for x in (train, valid, test)
    )
    train_rows, valid_rows, test_rows = parts
    return replace(train_rows, validation=valid_rows, test=test_rows)
