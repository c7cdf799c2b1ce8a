"""What the library logs, as plain lines of a command: news on stdout, warnings on stderr."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Lines(logging.Handler):
    """A line for each record, without time or level."""

    def emit(self, record: logging.LogRecord) -> None:
        warning = record.levelno >= logging.WARNING
        print(record.getMessage(), file=sys.stderr if warning else sys.stdout, flush=True)


@contextmanager
def messages() -> Iterator[None]:
    """Within, records of the logger "fairway" from INFO on are printed."""
    logger, lines = logging.getLogger("fairway"), Lines()
    before = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.setLevel(before)
