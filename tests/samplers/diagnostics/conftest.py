"""Two badly mixed chains with the values that R's package posterior gives for them."""

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def blocker():
    """draws (1,000, 2, 48) and {diagnostic: values (48,)}, from ../shared/reference or beside $FAIRWAY_DATA."""
    beside = [Path(__file__).parents[3].parent / "shared" / "reference"]
    if os.environ.get("FAIRWAY_DATA"):
        beside.insert(0, Path(os.environ["FAIRWAY_DATA"]).parent / "reference")
    found = next((f for folder in beside if (f := folder / "diagnostics" / "blocker.npz").is_file()), None)
    if found is None:
        pytest.skip("needs the folder reference/diagnostics beside $FAIRWAY_DATA")
    file = np.load(found)
    return file["draws"].transpose(1, 0, 2), dict(zip(file["diagnostics"].tolist(), file["values"].T, strict=True))
