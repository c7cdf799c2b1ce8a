"""A stored classifier is a whole folder, or an error that says what is wrong."""

import json

import pytest
import torch

from fairway.metrics.features.store import read_folder, write_folder


def test_what_is_written_is_read(tmp_path):
    tensors = {"a": torch.arange(3.0), "b": torch.eye(2).T}
    write_folder(tmp_path / "one", {"rows": 3}, tensors)
    about, found = read_folder(tmp_path / "one")
    assert about == {"format": 1, "rows": 3} and all(torch.equal(found[key], tensors[key]) for key in tensors)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_folder(tmp_path / "one", {"rows": object()}, {})
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "one").mkdir()
    with pytest.raises(FileExistsError, match="which exists"):
        write_folder(tmp_path / "one", {}, {})


def test_missing_broken_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"classifier\.json"):
        read_folder(tmp_path)
    folder = write_folder(tmp_path / "one", {}, {"a": torch.ones(2)})
    (folder / "weights.safetensors").write_bytes(b"none")
    with pytest.raises(ValueError, match="broken file"):
        read_folder(folder)
    folder = write_folder(tmp_path / "two", {}, {"a": torch.ones(2)})
    (folder / "classifier.json").write_text(json.dumps({"format": 9}))
    with pytest.raises(ValueError, match="format 1"):
        read_folder(folder)
