"""The table of names costs nothing and every line of it works."""

import subprocess
import sys

import pytest

from fairway.data import DATASETS, datasets

ON_DISK = ("mnist", "fashion_mnist", "binarized_mnist")


def test_listing_imports_nothing_heavy():
    code = (
        "import sys, fairway.data; names = list(fairway.data.datasets); assert 'moons' in names; "
        "assert not {'torch', 'numpy', 'sklearn', 'pandas', 'pyarrow', 'PIL'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_dataset_module_leaves_optional_packages_alone():
    code = (
        "import sys, fairway.data.dataset, fairway.data.images, fairway.data.tabular, fairway.data.toy; "
        "assert not {'sklearn', 'pandas', 'pyarrow', 'PIL'} & set(sys.modules), 'optional import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in ON_DISK])
def test_every_name_gives_a_dataset_that_fits_its_event(name):
    data = datasets[name]()
    data.event.check_data(data.x)
    assert data.labels is None or data.labels.min() == 0


def test_a_near_name_is_suggested():
    with pytest.raises(KeyError, match="did you mean 'moons'"):
        datasets["moon"]
