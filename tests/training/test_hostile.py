"""A run folder from a stranger, or from bad luck: one clear error, in bounded time and memory, and nothing is lost."""

import json
import os
import shutil
import struct
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import fairway
from fairway.training import checkpoint
from fairway.training.files import BrokenFolder, read_json, read_tensors, write_json
from fairway.training.fit import fit
from fairway.training.history import Journal, read_rows

ESCAPE = "\x1b[31mred\nand more"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A run folder of a small trained flow."""
    folder = tmp_path_factory.mktemp("run")
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    fit("real_nvp", x, steps=3, transforms=2, hidden=(4,), out=folder)
    return folder


@pytest.fixture
def folder(good, tmp_path):
    """A copy to break."""
    return shutil.copytree(good, tmp_path / "run")


@pytest.fixture(autouse=True)
def _in_time():
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 20


def refused(folder, match):
    """The one line that says why."""
    with pytest.raises(BrokenFolder, match=match) as caught:
        fairway.load(folder)
    said = str(caught.value)
    assert said.isprintable() and len(said) < 700
    return said


def change_tensors(folder, change):
    path = folder / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in change(load_file(path)).items()}, path, metadata={"aliases": "{}"})


def change_config(folder, *keys, value):
    config = entry = read_json(folder / "config.json")
    for key in keys[:-1]:
        entry = entry[key]
    entry[keys[-1]] = value
    write_json(folder / "config.json", config)


# -- tensors --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [torch.int64, torch.float64, torch.bfloat16, torch.bool, torch.complex64])
def test_weights_of_another_type(folder, dtype):
    change_tensors(folder, lambda tensors: {k: v.to(dtype) for k, v in tensors.items()})
    refused(folder, "has type torch.*, not torch")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers(folder, value):
    name = next(k for k in load_file(folder / "weights.safetensors") if k.endswith("weight"))
    change_tensors(folder, lambda tensors: {**tensors, name: tensors[name] * 0 + value})
    refused(folder, "not finite numbers")


@pytest.mark.parametrize("grow", [lambda v: torch.cat([v, v]), lambda v: v[None], lambda v: v[:0]])
def test_a_buffer_of_another_size_that_does_not_depend_on_data(folder, grow):
    change_tensors(folder, lambda tensors: {**tensors, "preprocess.mean": grow(tensors["preprocess.mean"])})
    refused(folder, r"preprocess\.mean in .* has shape")


@pytest.mark.parametrize("name", [ESCAPE, "x" * 10**6, "../../x"])
def test_names_of_tensors_are_not_obeyed(folder, name):
    change_tensors(folder, lambda tensors: {**tensors, name: torch.zeros(1)})
    refused(folder, "do not fit: missing .* unknown")


HEADERS = {
    "more than there is": {"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}},
    "an overflow": {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}},
    "a hole": {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
    "overlaps": {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "ab"},
    "very many": {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(10**5)},
}


@pytest.mark.parametrize("header", list(HEADERS.values()), ids=list(HEADERS))
def test_headers_that_lie(folder, header):
    text = json.dumps(header).encode()
    (folder / "weights.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    refused(folder, "truncated or not a safetensors file")


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json"])
def test_truncated_anywhere(folder, name):
    path = folder / name
    whole = path.read_bytes()
    for cut in range(0, len(whole) - 2, max(1, len(whole) // 40)):
        path.write_bytes(whole[:cut])
        refused(folder, "is truncated|is not valid JSON")


# -- configurations -------------------------------------------------------------------------------------------------
SIZES = {"transforms": 10**12, "hidden": [10**9], "event": {"event": {"shape": [10**9]}}}


@pytest.mark.parametrize("argument", SIZES)
def test_a_size_that_the_weights_do_not_have_takes_no_memory(folder, argument):
    change_config(folder, "arguments", argument, value=SIZES[argument])
    refused(folder, "cannot be built: (a tensor of .* bytes|more layers than)")


TEXTS = {
    "an entry twice": b'{"model": "gmm", "model": "vae", "format": 1, "arguments": {}}',
    "UTF-16": '{"model": "gmm", "format": 1, "arguments": {}}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a number of a million digits": b"9" * 10**6,
    "a million brackets": b"[" * 10**6,
}


@pytest.mark.parametrize("text", list(TEXTS.values()), ids=list(TEXTS))
def test_json_that_readers_would_read_differently(folder, text):
    (folder / "config.json").write_bytes(text)
    refused(folder, "is not valid JSON")


@pytest.mark.parametrize("keys", [("model",), ("dtype",), ("preprocess",), ("arguments", "event")])
@pytest.mark.parametrize("value", [ESCAPE, "x" * 10**6])
def test_what_a_file_says_is_repeated_harmlessly(folder, keys, value):
    change_config(folder, *keys, value=value)
    refused(folder, "cannot be built")


# -- not files ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
@pytest.mark.parametrize("kind", ["/dev/zero", "/proc/self/mem", "/etc/passwd", "pipe", "folder", "itself", "hole"])
def test_what_is_no_file_is_not_read(folder, name, kind):
    path = folder / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "hole":
        path.touch()
        os.truncate(path, 10**12)
    else:
        path.symlink_to(name if kind == "itself" else kind)
    refused(folder, "expected a file|is not valid JSON|not a safetensors|larger than|cannot be read")


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0", "", "/dev/null", "a\nb"])
def test_names_that_no_folder_has(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BrokenFolder):
        fairway.load(name)


# -- the log --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "line",
    [b"[" * 10**5, b"\x00\xff\n\x1b", b'{"step": "x"}', b'{"step": 1, "stage": "x"}', b"9" * 10**6, b"x" * 10**7],
)
def test_lines_of_a_log_that_are_none_are_left_out(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 2}\n')
    assert [row["step"] for row in read_rows(path)] == [1, 2]
    Journal(path, step=1)
    assert path.read_text() == '{"step": 1}\n'


def test_a_log_without_end_is_refused(tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    os.truncate(tmp_path / "metrics.jsonl", 10**12)
    with pytest.raises(BrokenFolder, match="not a log"):
        read_rows(tmp_path / "metrics.jsonl")


# -- nothing is lost ------------------------------------------------------------------------------------------------
def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


SMALL = dict(steps=2, transforms=2, hidden=(4,))


@pytest.mark.parametrize("name", ["config.json", "data.json", "training/thesis.tex", "weights.safetensors"])
def test_files_of_ones_own_survive_a_fit(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    for resume in (False, True):
        with pytest.raises(FileExistsError, match="holds files of something else"):
            fit("real_nvp", torch.randn(30, 2), out=tmp_path, resume=resume, **SMALL)
    assert contents(tmp_path) == before


def test_another_run_survives_and_the_same_one_is_repeated(tmp_path):
    x = torch.randn(30, 2)
    first = fit("real_nvp", x, out=tmp_path, **SMALL)
    (tmp_path / "notes.txt").write_text("mine")
    again = fit("real_nvp", x, out=tmp_path, **SMALL)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    before = contents(tmp_path)
    for other in ({"seed": 1}, {"hidden": (5,)}):
        with pytest.raises(FileExistsError, match="holds another run or model"):
            fit("real_nvp", x, out=tmp_path, **{**SMALL, **other})
    with pytest.raises(FileExistsError):
        fit("real_nvp", x + 1, out=tmp_path, **SMALL)
    assert contents(tmp_path) == before


def test_a_link_to_somebodys_folder_is_not_emptied(tmp_path):
    mine, run = tmp_path / "mine", tmp_path / "run"
    mine.mkdir()
    run.mkdir()
    (mine / "started.json").write_text("mine")
    (run / "training").symlink_to(mine)
    with pytest.raises(FileExistsError):
        fit("real_nvp", torch.randn(30, 2), out=run, **SMALL)
    assert contents(mine) == {mine / "started.json": b"mine"}


def test_a_saved_model_does_not_replace_somebody_elses(good, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(FileExistsError, match="is something else's"):
        fairway.load(good).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_shared_names_lead_nowhere_but_to_tensors(tmp_path):
    path = tmp_path / "w.safetensors"
    for aliases in ({"b": "b"}, {"b": "c", "c": "b"}, {"b": "../../etc/passwd"}):
        save_file({"a": torch.ones(2)}, path, metadata={"aliases": json.dumps(aliases)})
        with pytest.raises(BrokenFolder):
            read_tensors(path)


def test_counts_beyond_what_tensors_hold_are_refused():
    with pytest.raises(ValueError, match=r"below 2\*\*63"):
        fit("gmm", np.full((5, 2), 2**63, dtype=np.uint64), components=1)


# -- checkpoints ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("plan", "stage"), 1.5),
        (("plan", "stage"), 10**30),
        (("plan", "stage"), True),
        (("plan", "threads"), -1),
        (("plan", "threads"), "x"),
        (("step",), float("inf")),
        (("step",), -1),
    ],
)
def test_counters_that_do_not_count(folder, keys, value):
    tensors, counters = checkpoint.read(folder)
    entry = counters
    for key in keys[:-1]:
        entry = entry[key]
    entry[keys[-1]] = value
    checkpoint.write(folder, (tensors, counters))
    with pytest.raises(BrokenFolder, match="is not a checkpoint"):
        checkpoint.read(folder)


def test_a_checkpoint_without_numbers_is_not_resumed(folder):
    tensors, counters = checkpoint.read(folder)
    name = next(name for name in tensors if name.startswith("model.") and name.endswith("weight"))
    checkpoint.write(folder, ({**tensors, name: tensors[name] * float("nan")}, counters))
    with pytest.raises(BrokenFolder, match="not numbers"):
        checkpoint.read(folder)


def test_types_that_nothing_here_writes(tmp_path):
    save_file({"a": torch.ones(2).to(torch.float8_e5m2)}, tmp_path / "w.safetensors")
    with pytest.raises(BrokenFolder, match="float8"):
        read_tensors(tmp_path / "w.safetensors")


def test_a_log_that_is_a_link_to_a_device_is_not_read(tmp_path):
    for target in ("/dev/zero", "/proc/kmsg"):
        (tmp_path / "metrics.jsonl").unlink(missing_ok=True)
        (tmp_path / "metrics.jsonl").symlink_to(target)
        assert read_rows(tmp_path / "metrics.jsonl") == []
