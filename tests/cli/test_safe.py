"""A configuration is data: nothing in it is imported or run, and what could be is refused by name."""

import importlib
import json
import os
import sys

import pytest

from fairway.cli.safe import DEPTH, read_config_file, refuse
from fairway.training.files import BrokenFolder

GOOD = {
    "format": 1,
    "model": "real_nvp",
    "arguments": {"event": {"event": {"shape": [2]}}, "hidden": [4]},
    "objective": {"objective": "mle"},
    "fit": {"seed": 0, "steps": 4},
}


def write(path, data):
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def nested(depth):
    data = []
    for _ in range(depth):
        data = [data]
    return data


HOSTILE = {
    "class_path": ({**GOOD, "arguments": {"network": {"class_path": "os.system"}}}, "entry 'class_path'"),
    "init_args": ({**GOOD, "fit": {"init_args": {"command": "touch hacked"}}}, "entry 'init_args'"),
    "class_path in a list": ({**GOOD, "extra": [[{"class_path": "os.system"}]]}, "entry 'class_path'"),
    "py/object": ({**GOOD, "py/object": "os.system"}, "entry 'py/object'"),
    "a dotted model": ({**GOOD, "model": "os.system"}, "names a model 'os.system'"),
    "a slashed model": ({**GOOD, "model": "../../evil"}, "names a model '../../evil'"),
    "a module as model": ({**GOOD, "model": "antigravity"}, "no model named 'antigravity'"),
    "a dunder model": ({**GOOD, "model": "__import__"}, "no model named '__import__'"),
    "a dotted network": ({**GOOD, "arguments": {"x": {"network": "antigravity.fly"}}}, "names a network"),
    "a dotted objective": ({**GOOD, "objective": {"objective": "os.system"}}, "names a objective 'os.system'"),
    "a module as objective": ({**GOOD, "objective": {"objective": "antigravity"}}, "no objective named 'antigravity'"),
    "an objective of one's own": ({**GOOD, "objective": {"external": "objective"}}, "only Python can hand it over"),
    "an objective that is text": ({**GOOD, "objective": "mle"}, "'objective' that is no table"),
    "an objective without name": ({**GOOD, "objective": {"objective": 5}}, "only Python can hand it over"),
    "arguments in a list": ({**GOOD, "arguments": [1]}, "'arguments' that is no table"),
    "a fit in a list": ({**GOOD, "fit": [1]}, "'fit' that is no table"),
    "text for a number": ({**GOOD, "fit": {"steps": "$(touch hacked)"}}, "expected steps as a whole number"),
    "a part for numbers": ({**GOOD, "arguments": {"hidden": {"network": "mlp"}}}, "expected hidden as whole numbers"),
    "an unknown option": ({**GOOD, "arguments": {"hiden": [4]}}, "has no option 'hiden'; did you mean 'hidden'?"),
    "an unknown objective's option": ({**GOOD, "objective": {"objective": "mle", "x": 1}}, "'mle' has no option 'x'"),
    "too deep": ({**GOOD, "extra": nested(DEPTH + 1)}, f"nested deeper than {DEPTH} levels"),
    "far too deep": ("[" * 100_000 + "]" * 100_000, "is not valid JSON"),
    "a list": ("[1, 2]", "does not describe a model"),
    "no model": ("{}", "does not describe a model"),
    "not JSON": ("{", "is not valid JSON"),
    "YAML with a tag": ("model: !!python/object/apply:os.system ['touch hacked']", "is not valid JSON"),
    "binary": ("\x00\x01", "is not valid JSON"),
    "empty": ("", "is not valid JSON"),
    "huge": (" " * (16 * 2**20 + 1), "is larger than 16 MiB"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_one_line_and_nothing_is_imported(cli, tmp_path, monkeypatch, case):
    data, line = HOSTILE[case]
    path, imported = write(tmp_path / "config.json", data), []
    real = importlib.import_module

    def watched(name, package=None):
        imported.append(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", watched)
    monkeypatch.setattr(os, "system", lambda command: pytest.fail(f"ran {command}"))
    assert line in cli("fit", "--config", path, "moons").error
    assert all(name.startswith("fairway.") for name in imported), imported
    assert "antigravity" not in sys.modules
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.json"]


def test_a_good_file_is_read_from_its_path_or_its_folder(tmp_path):
    path = write(tmp_path / "config.json", GOOD)
    assert read_config_file(path) == read_config_file(tmp_path) == GOOD
    write(path, {"model": "gmm", "objective": None})
    assert read_config_file(path) == {"model": "gmm", "arguments": {}, "fit": {}, "objective": None}


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(BrokenFolder, match=r"expected a file config.json"):
        read_config_file(tmp_path)
    with pytest.raises(BrokenFolder, match=r"expected a file none.json"):
        read_config_file(tmp_path / "none.json")


def test_what_every_run_writes_is_accepted(runs):
    for name in ("flow", "made", "gmm", "gan"):
        refuse(json.loads((runs / name / "config.json").read_text()), name)
