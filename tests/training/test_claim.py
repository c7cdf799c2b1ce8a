"""A fresh start replaces an earlier start of the same run; everything else in a folder is left alone."""

import json

import pytest

from fairway.training.claim import WRITTEN, claim, clear, refuse_foreign

SAME = {"data": {"x": "1"}, "seed": 0}


def started(folder, entry=SAME):
    (folder / "training").mkdir(exist_ok=True)
    (folder / "training" / "started.json").write_text(json.dumps(entry))


def everything(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", ["notes.txt", "points.npy", "pictures", "report.html"])
def test_other_files_are_no_obstacle_and_stay(tmp_path, name):
    (tmp_path / name).write_text("mine")
    claim(tmp_path, SAME)
    clear(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_a_missing_folder_and_an_empty_one_are_free(tmp_path):
    claim(tmp_path / "new", SAME)
    (tmp_path / "training").mkdir()
    claim(tmp_path, SAME)


@pytest.mark.parametrize("name", WRITTEN)
def test_files_that_a_run_would_overwrite_are_refused(tmp_path, name):
    path = tmp_path / name / "thesis.tex" if name == "training" else tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    before = everything(tmp_path)
    with pytest.raises(FileExistsError, match=rf"holds files of something else \({name}\): choose another folder"):
        claim(tmp_path, SAME)
    assert everything(tmp_path) == before


def test_the_same_run_is_replaced_and_another_is_not(tmp_path):
    started(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    claim(tmp_path, SAME)
    with pytest.raises(FileExistsError, match=r"holds another run or model \(weights.safetensors, training\)"):
        claim(tmp_path, {**SAME, "seed": 1})


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_a_damaged_start_is_nobodys(tmp_path, text):
    started(tmp_path)
    (tmp_path / "training" / "started.json").write_text(text)
    with pytest.raises(FileExistsError):
        claim(tmp_path, SAME)


def test_only_what_a_resume_reads_is_cleared(tmp_path):
    started(tmp_path)
    kept, gone = ("notes.txt", "thesis.tex"), ("checkpoint.safetensors", ".checkpoint.safetensors.1.tmp", "wandb.json")
    for name in (*kept, *gone):
        (tmp_path / "training" / name).write_text("x")
    clear(tmp_path)
    assert sorted(path.name for path in (tmp_path / "training").iterdir()) == list(kept)


def test_links_are_removed_not_followed(tmp_path):
    precious, folder = tmp_path / "precious.json", tmp_path / "run"
    precious.write_text("untouched")
    folder.mkdir()
    started(folder)
    (folder / "training" / "checkpoint.safetensors").symlink_to(precious)
    clear(folder)
    assert precious.read_text() == "untouched" and not any((folder / "training").iterdir())


def test_a_model_is_not_saved_over_somebodys_configuration(tmp_path):
    refuse_foreign(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 768}')
    with pytest.raises(FileExistsError, match=r"config\.json is something else's"):
        refuse_foreign(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 1, "fairway": "0.1", "model": "gmm"}')
    refuse_foreign(tmp_path)
