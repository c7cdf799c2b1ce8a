"""What the library logs, a command prints."""

import logging

import pytest

from fairway.cli.messages import messages


def test_news_go_to_stdout_and_warnings_to_stderr(capsys):
    logger = logging.getLogger("fairway")
    with messages():
        logger.info("resumed at step %d", 50)
        logger.getChild("training").warning("slow")
        logger.debug("nothing")
    assert capsys.readouterr() == ("resumed at step 50\n", "slow\n")


def test_logging_is_afterwards_as_it_was(capsys):
    logger = logging.getLogger("fairway")
    before = (logger.level, list(logger.handlers))
    with pytest.raises(KeyError), messages():
        raise KeyError
    assert (logger.level, list(logger.handlers)) == before
    logger.info("silence")
    assert capsys.readouterr().out == ""
