"""A whole comparison: real workers on a small data set, a crash among them, twice into the same folder."""

import json

import pytest
import torch

from fairway.core.registry import UnknownName
from fairway.data import load
from fairway.report import compare as module
from fairway.report.compare import compare
from fairway.training.run_folder import load as load_run

MODELS = {"two": {"model": "gmm", "components": 2}, "broken": {"model": "gmm", "components": -3}}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture(scope="module")
def found(out):
    return compare(MODELS, load("moons", n=200), steps=5, out=out, progress=False)


def test_every_model_and_every_reference_has_a_row(found):
    names = ["two", "broken", "fresh real data", "training copy", "gaussian", "independent"]
    assert [row.name for row in found.rows] == names
    assert found["two"].likelihood["relation"] == "equal" and found["two"].steps <= 5
    assert found["two"].memory > 50 and found["gaussian"].memory is None
    with pytest.raises(KeyError, match="rows: two, broken"):
        found["three"]


def test_a_crash_is_a_row_that_says_why(found):
    assert found["broken"].status == "failed" and "components" in found["broken"].reason
    assert "broken failed: " in str(found) and "broken" not in found.samples


def test_distances_have_one_scale(found):
    distances = {row.name: row.distance for row in found.rows if row.distance is not None}
    assert set(distances) == set(found.samples) and all(0 < d < 1 for d in distances.values())
    assert distances["training copy"] < 2 * distances["fresh real data"]
    assert all(len(samples) == 40 for samples in found.samples.values())


def test_the_folder_holds_report_pictures_and_runs(found, out):
    assert "data:image/png" in (out / "report.html").read_text()
    numbers = json.loads((out / "report.json").read_text())
    assert [row["name"] for row in numbers["rows"]] == [row.name for row in found.rows]
    assert {path.stem for path in (out / "pictures").glob("*.png")} == {
        name.replace(" ", "_") for name in found.samples
    }
    model = load_run(out / "models" / "two")
    assert torch.isfinite(model.log_prob(found.real)).all()


def test_a_second_comparison_into_the_same_folder_gives_the_same_numbers(found, out):
    again = compare({"two": MODELS["two"]}, load("moons", n=200), steps=5, out=out, progress=False)
    assert again["two"].likelihood == found["two"].likelihood and again["two"].distance == found["two"].distance


def test_the_table_fits_the_terminal(found):
    assert max(map(len, str(found).splitlines())) <= 120


def test_what_cannot_be_asked_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(module, "train_all", lambda *_: pytest.fail("a worker was started"))
    for models, error, words in (
        (["gmmm"], (ValueError, UnknownName), "did you mean 'gmm'"),
        (["gmm", "gmm"], ValueError, "'gmm' twice"),
        ([], ValueError, "at least one model"),
        ({"a/b": {"model": "gmm"}}, ValueError, "letters, digits"),
        ({"a": {"components": 3}}, ValueError, '"model": name'),
        ({"a": {"model": "gmm", "steps": 3}}, ValueError, "expected steps once for all models"),
        ({"a": {"model": "fairway.models.classical.mixture:GMM"}}, ValueError, "no model named"),
    ):
        with pytest.raises(error, match=words):
            compare(models, "moons", steps=1, progress=False)
    with pytest.raises(ValueError, match="budget"):
        compare(["gmm"], "moons", budget="soon", progress=False)


def test_labelled_data_are_shown_to_a_classifier(monkeypatch):
    monkeypatch.setattr(module, "train_all", lambda *_: [])
    found = compare(["gmm"], "wine", progress=False)
    floor, lone = found["fresh real data"], found["independent"]
    assert floor.classes == floor.present == 3 and floor.sure > 0.8 and lone.sure is not None
    assert found.about["budget"] == "default steps" and "sure" in str(found)
