"""The held-out likelihood of a run, of exactly the rows it never saw."""

import json
import math
import shutil

import numpy as np

from fairway.data.split import split_rows
from fairway.training.run_folder import load


def test_without_data_the_rows_are_those_held_out(cli, runs):
    record = json.loads(cli("evaluate", runs / "flow", "--json").out)
    held_out = split_rows(80, 0.25, 0)[1]
    wanted = load(runs / "flow").log_prob(np.load(runs / "points.npy")[held_out])
    assert record["rows"] == 20 and math.isclose(record["nats"], float(wanted.mean()), rel_tol=1e-6)
    assert record["relation"] == "equal" and record["method"] == "exact" and record["model"] == "real_nvp"
    assert record["strokes"] == 1.0 and record["parameters"] > 0 and record["bits_per_dim"] is None


def test_with_data_every_row_of_it(cli, runs):
    assert json.loads(cli("evaluate", runs / "all", runs / "points.npy", "--json").out)["rows"] == 80


def test_for_people_only_what_there_is_to_say(cli, runs):
    out = cli("evaluate", runs / "flow").out
    assert "relation             equal\n" in out and "None" not in out and "{" not in out
    bound = cli("evaluate", runs / "gmm", "--draws", "2").out
    assert "relation             lower\n" in bound and "bits_per_dim         " in bound and "cost: units" in bound


def test_a_model_without_likelihood_says_so_in_valid_json(cli, runs):
    ended = cli("evaluate", runs / "gan", "--json")
    record = json.loads(ended.out, parse_constant=lambda name: pytest_fail(name))
    assert ended.code == 0 and record["relation"] == "none" and record["nats"] is None and record["rows"] == 16
    assert "nats" not in cli("evaluate", runs / "gan").out


def pytest_fail(name):
    raise AssertionError(f"{name} is no JSON")


def test_labels_as_context(cli, runs):
    assert json.loads(cli("evaluate", runs / "made", "--context", "labels", "--json").out)["rows"] == 180
    assert "expected --context labels, got none" in cli("evaluate", runs / "made").error


def test_a_run_that_saw_every_row_asks_for_data(cli, runs):
    assert "was trained on every row of" in cli("evaluate", runs / "all").error


def test_changed_data_are_refused(cli, runs, tmp_path):
    folder = shutil.copytree(runs / "flow", tmp_path / "flow")
    record = json.loads((folder / "data.json").read_text())
    changed = np.load(runs / "points.npy") + 1
    np.save(tmp_path / "points.npy", changed)
    (folder / "data.json").write_text(json.dumps({**record, "source": str(tmp_path / "points.npy")}))
    assert "changed since" in cli("evaluate", folder).error


def test_mistakes(cli, runs):
    assert cli("evaluate").error == "expected RUN: a run folder"
    assert "found none at nowhere" in cli("evaluate", "nowhere").error
    assert "expected samples of at least 1, got 0" in cli("evaluate", runs / "gmm", "--draws", "0").error
    assert cli("evaluate", runs / "flow", "--seed", "x").error == "expected --seed as a whole number, got 'x'"
