"""What a run says goes to the logger, and is printed where nobody has configured one."""

import logging

import pytest

from fairway.core import parallel
from fairway.training.log import logger, say


@pytest.fixture
def bare(monkeypatch):
    """A process in which nobody has configured logging (pytest does)."""
    monkeypatch.setattr(logger, "hasHandlers", lambda: False)
    assert logger.level == logging.NOTSET


def test_without_configuration_it_is_printed(bare, capsys):
    say("resumed at step 50")
    assert capsys.readouterr().out == "resumed at step 50\n"


def test_a_level_is_a_configuration(bare, capsys, monkeypatch):
    monkeypatch.setattr(logger, "level", logging.WARNING)
    say("resumed at step 50")
    assert capsys.readouterr() == ("", "")


def test_with_a_handler_it_is_a_record(caplog, capsys):
    caplog.set_level(logging.INFO, logger="fairway")
    say("100% new")
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [("fairway", "INFO", "100% new")]
    assert capsys.readouterr().out == ""


def test_of_several_processes_the_first_one_speaks(bare, capsys, monkeypatch):
    monkeypatch.setattr(parallel, "rank", lambda: 1)
    say("resumed at step 50")
    assert capsys.readouterr().out == ""
