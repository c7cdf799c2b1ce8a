"""Where the real data lie: $FAIRWAY_DATA, else ../shared/data beside the repository."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Skips only where nothing was promised: a set FAIRWAY_DATA without the files makes the test fail."""
    promised = os.environ.get("FAIRWAY_DATA")
    folder = Path(promised) if promised else Path(__file__).parents[3] / "shared" / "data"
    if not promised and not folder.is_dir():
        pytest.skip("FAIRWAY_DATA is not set")
    return folder
