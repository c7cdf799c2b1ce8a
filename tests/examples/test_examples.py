"""The examples do what their first lines say."""

import logging
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"anomaly_in_a_table", "pictures_while_training"}


def test_most_malignant_rows_are_unusual(capsys):
    found = runpy.run_path(str(EXAMPLES / "anomaly_in_a_table.py"))["main"]()
    assert 0.85 < found < 0.95
    assert "unusual below" in capsys.readouterr().out


def test_pictures_appear_while_a_flow_trains(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    pytest.importorskip("sklearn")
    main = runpy.run_path(str(EXAMPLES / "pictures_while_training.py"))["main"]
    pictures = main(str(tmp_path / "run"), steps=20, every=10)
    assert [path.name for path in pictures] == ["step-00010.png", "step-00020.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert "resumed at step 20" in caplog.text
