"""Tables of the UCI repository: their published shapes, splits and labels."""

import shutil

import pytest
import torch

from fairway.data import load, uci

SHAPES = {
    "protein": (45730, 10),
    "elevators": (16599, 19),
    "parkinsons": (5875, 21),
    "gas_sensors": (2565, 129),
    "red_wine": (1599, 12),
    "airfoil": (1503, 6),
    "concrete": (1030, 9),
    "energy_efficiency": (768, 9),
}
ANOMALIES = {  # rows, columns, anomalies
    "magic_gamma": (19020, 10, 6688),
    "shuttle": (49097, 9, 3511),
    "skin": (245057, 3, 50859),
    "mammography": (11183, 6, 260),
    "pendigits": (6870, 16, 156),
    "satellite": (6435, 36, 2036),
    "thyroid": (3772, 6, 93),
    "waveform": (3443, 21, 100),
    "cardio": (1831, 21, 176),
    "ionosphere": (351, 32, 126),
}


def test_the_power_plant_is_as_published(data_folder):
    data = uci.power_plant(data_folder)
    assert data.x.shape == (9568, 5) and data.x.dtype == torch.float64 and data.event.kind == "real"
    assert data.x.mean(0).tolist() == pytest.approx([19.65, 54.31, 1013.26, 73.31, 454.37], abs=5e-3)
    assert data.column_names[-1] == "power" and data.test is None


@pytest.mark.parametrize("name", SHAPES)
def test_a_tenth_of_a_table_is_its_official_test_split(name, data_folder):
    data = load(name, folder=data_folder)
    rows, columns = SHAPES[name]
    assert len(data) + len(data.test) == rows and data.x.shape[1] == data.test.x.shape[1] == columns
    assert len(data.test) == pytest.approx(rows / 10, abs=2) and data.column_names[-1] == "target"
    both = torch.cat([data.x, data.test.x])
    assert (both.mean(0).abs() < 1e-3 * both.abs().amax(0) + 1e-9).all()  # centred


def test_folds_differ_and_are_different_protocols(data_folder):
    first, second = (uci.airfoil(data_folder, fold=fold) for fold in (0, 9))
    assert first.protocol == "real, official fold 0" and second.test.protocol == "real, official fold 9"
    assert not torch.equal(first.test.x[:100], second.test.x[:100])
    with pytest.raises(ValueError, match=r"expected a fold of airfoil in 0\.\.9, got 10"):
        uci.airfoil(data_folder, fold=10)


@pytest.mark.parametrize("name", ANOMALIES)
def test_anomalies_are_counted(name, data_folder):
    data = load(name, folder=data_folder)
    rows, columns, anomalies = ANOMALIES[name]
    assert data.x.shape == (rows, columns) and int(data.labels.sum()) == anomalies
    assert data.label_names == ("normal", "anomaly")
    assert (data.event.kind == "integer") == (name in ("shuttle", "satellite"))


def test_collisions_have_their_label_apart(data_folder):
    data = uci.higgs_7500(data_folder / "tabular")
    assert data.x.shape == (7000, 28) and data.test.x.shape == (500, 28)
    assert data.label_names[1] == "signal" and 0.5 < data.labels.float().mean() < 0.56


def test_a_changed_file_is_refused(data_folder, tmp_path):
    file = "uci_power-plant.txt.gz"
    shutil.copyfile(data_folder / "tabular" / file, tmp_path / file)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-9])
    with pytest.raises(ValueError, match="download it again"):
        uci.power_plant(tmp_path)
