"""What a model is, read from its source; nothing of it is run."""

import importlib

import pytest

from fairway.cli.summaries import family, summary
from fairway.models.registry import models


@pytest.mark.parametrize("name", list(models))
def test_the_summary_is_how_the_modules_docstring_begins(name):
    doc = importlib.import_module(models.where(name).partition(":")[0]).__doc__
    assert summary(name) == " ".join(doc.split("\n\n")[0].split()) != ""
    assert f".{family(name)}." in models.where(name)


def test_a_guest_is_read_without_being_run(tmp_path, monkeypatch):
    (tmp_path / "guest_model.py").write_text('"""A guest.\n\nMore."""\nraise RuntimeError("was run")\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(models._table, "guest", "guest_model:Guest")
    assert summary("guest") == "A guest." and family("guest") == "other"


def test_a_guest_whose_module_is_gone_has_no_summary(monkeypatch):
    monkeypatch.setitem(models._table, "gone", "module_that_is_not_there:Guest")
    assert summary("gone") == ""
