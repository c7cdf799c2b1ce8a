"""Command lines that nobody would type, from terminals that nobody would use: one line, and it ends."""

import gzip
import io
import json
import os
import subprocess
import sys

import pytest

from fairway.cli.entry import run
from fairway.training.files import read_json, write_json

ESCAPE = "\x1b[31mred\nand more\x07"
LONG = "x" * 100_000


@pytest.fixture
def broken(runs, tmp_path):
    """`broken(folder, "config.json", keys..., value=...)`: a copy of the run `flow` with one entry changed."""
    import shutil

    folder = shutil.copytree(runs / "flow", tmp_path / "broken")

    def change(name, *keys, value):
        data = entry = read_json(folder / name)
        for key in keys[:-1]:
            entry = entry[key]
        entry[keys[-1]] = value
        write_json(folder / name, data)
        return folder

    return change


# -- words ----------------------------------------------------------------------------------------------------------
LINES = [
    [ESCAPE],
    ["fit", ESCAPE],
    ["fit", "gmm", ESCAPE],
    ["fit", "gmm", "moons", "--components", ESCAPE],
    ["fit", "gmm", "moons", f"--{ESCAPE}"],
    ["sample", ESCAPE],
    ["sample", LONG],
    ["cite", ESCAPE],
    ["list", "--capability", ESCAPE],
    ["compare", "moons", "--models", ESCAPE],
    ["fit", "gmm", LONG],
    ["fit", "gmm", "nul\0.npy"],
    ["fit", "gmm", "moons", "--out", "nul\0"],
    ["sample", "\udcff"],
    ["\udcff"],
    [""],
    ["--"],
    ["fit", "os.system", "moons"],
    ["fit", "../../x", "moons"],
    ["fit", "gmm", "moons", "--objective", "os.system"],
    ["fit", "gmm", "moons", "--out", "/dev/null/x"],
    ["fit", "gmm", "moons", "--out", LONG],
]


@pytest.mark.parametrize("words", LINES, ids=lambda words: repr(" ".join(words))[:40])
def test_odd_words_are_one_harmless_line(cli, words):
    said = cli(*words).error
    assert said.isprintable() and len(said) < 700


@pytest.mark.parametrize("option", ["lr", "validation", "budget"])
@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-1", "", "1e400", "x"])
def test_numbers_that_are_none(cli, option, value):
    flow = ("fit", "real_nvp", "moons", "--transforms", "2", "--hidden", "4", "--quiet")
    assert cli(*flow, f"--{option}={value}").error


def test_more_samples_than_memory_are_refused_at_once(cli, runs):
    assert "expected --n of at most" in cli("sample", runs / "flow", "--n", 10**30).error


# -- run folders ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("key", ["fit", "arguments", "objective"])
@pytest.mark.parametrize("value", [[], 3, "x"])
def test_tables_that_are_none(cli, broken, key, value):
    folder = broken("config.json", key, value=value)
    assert "no table of options" in cli("fit", "--config", folder, "--out", "again").error


@pytest.mark.parametrize("size", [10**12, 10**30])
def test_a_configuration_of_any_size_takes_no_memory(cli, broken, size):
    folder = broken("config.json", "arguments", "transforms", value=size)
    assert "asks for a size of" in cli("fit", "--config", folder, "--out", "again").error
    assert "cannot be built" in cli("sample", folder).error


@pytest.mark.parametrize("part", [{"holdout": 0.1, "seed": float("inf")}, [1], "x"])
def test_a_part_that_is_none(cli, broken, part):
    assert "does not describe the part" in cli("evaluate", broken("data.json", "part", value=part)).error


def test_what_files_say_does_not_reach_the_terminal(cli, broken):
    assert cli("sample", broken("config.json", "preprocess", value=ESCAPE)).error.isprintable()


def test_a_finished_run_is_not_lost_to_another(cli, runs, tmp_path):
    words = ("fit", "gmm", runs / "points.npy", "--quiet", "--out", tmp_path / "run", "--components")
    assert cli(*words, 1).code == 0
    weights = (tmp_path / "run" / "weights.safetensors").read_bytes()
    assert "choose another folder" in cli(*words, 2).error
    assert (tmp_path / "run" / "weights.safetensors").read_bytes() == weights
    assert cli(*words, 1).code == 0  # the same again


# -- data -----------------------------------------------------------------------------------------------------------
def test_a_packed_file_without_end(cli, tmp_path):
    with gzip.open(tmp_path / "bomb.csv.gz", "wb", compresslevel=1) as file:
        for _ in range(100):
            file.write(b"1,2\n" * 250_000)
    assert "more than 200 times its size" in cli("fit", "gmm", "bomb.csv.gz").error


def test_a_header_that_is_no_header(cli, tmp_path):
    text = b"(" * 5000 + b"\n"
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    assert "truncated or damaged" in cli("fit", "gmm", "x.npy").error


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "csv.gz"])
def test_data_that_are_no_file(cli, tmp_path, kind):
    os.mkfifo(tmp_path / f"pipe.{kind}")
    (tmp_path / f"zero.{kind}").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        assert "expected" in cli("fit", "gmm", f"{name}.{kind}").error


# -- terminals ------------------------------------------------------------------------------------------------------
def test_an_output_without_the_letters_shows_their_numbers(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr("fairway.cli.entry.help_text", lambda: "é")
    assert run(["--help"]) == 0
    assert out.buffer.getvalue() == b"\\xe9\n"


def test_no_output_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert run(["list"]) == 0
    assert run(["nope"]) == 2


def test_memory_that_is_not_there(cli, monkeypatch):
    def fail(given):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000 bytes")

    monkeypatch.setattr("fairway.cli.entry._dispatch", fail)
    ended = cli("list")
    assert ended.code == 1 and ended.err.startswith("error: out of memory: choose smaller sizes")


@pytest.mark.parametrize("command", ["list | true", "list >&-", "list >/dev/full", "nope 2>&- >&-", "list <&-"])
def test_a_shell_that_closes_its_ends(command):
    line = f"{sys.executable} -m fairway.cli.entry {command}".replace(
        "-m fairway.cli.entry", "-c 'import sys; from fairway.cli import main; sys.exit(main())'"
    )
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert ended.returncode in (0, 2) and "Traceback" not in ended.stderr and ended.stderr.count("\n") <= 1
    assert json.dumps(ended.stderr).isprintable()
