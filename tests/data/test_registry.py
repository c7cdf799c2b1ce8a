"""The table of names costs nothing and every line of it works."""

import inspect
import subprocess
import sys

import pytest

from fairway.data import DATASETS, datasets

ON_DISK = [name for name in DATASETS if "folder" in inspect.signature(datasets[name]).parameters]


def test_listing_imports_nothing_heavy():
    code = (
        "import sys, fairway.data; names = list(fairway.data.datasets); assert 'moons' in names; "
        "assert not {'torch', 'numpy', 'sklearn', 'pandas', 'pyarrow', 'PIL'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dataset_module_leaves_optional_packages_alone():
    code = (
        "import sys, fairway.data.dataset, fairway.data.images, fairway.data.tabular, fairway.data.toy, "
        "fairway.data.uci, fairway.data.maf_tables, fairway.data.bsds300; "
        "assert not {'sklearn', 'pandas', 'pyarrow', 'PIL', 'h5py'} & set(sys.modules), 'optional import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in ON_DISK])
def test_every_name_gives_a_dataset_that_fits_its_event(name):
    data = datasets[name]()
    data.event.check_data(data.x)
    assert data.labels is None or data.labels.min() == 0


@pytest.mark.parametrize("name", ON_DISK)
def test_absent_files_say_where_to_get_them(name, monkeypatch):
    monkeypatch.delenv("FAIRWAY_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"expected the files of .*get them from \S+.*FAIRWAY_DATA="):
        datasets[name]()


def test_a_near_name_is_suggested():
    with pytest.raises(KeyError, match="did you mean 'moons'"):
        datasets["moon"]
