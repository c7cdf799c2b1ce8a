"""What a run has to say, as records of the logger "fairway".

    logging.basicConfig(level=logging.INFO)               shows them your way
    logging.getLogger("fairway").setLevel("WARNING")      leaves out what is no warning

Where nobody has configured logging, what is said is printed, as a script or a notebook expects. Of several processes
the first one speaks.
"""

import logging

from fairway.core import parallel

logger = logging.getLogger("fairway")


def say(message: str) -> None:
    """One line at level INFO; printed where nobody has configured logging."""
    if parallel.rank() != 0:
        return
    if logger.hasHandlers() or logger.level != logging.NOTSET:
        logger.info("%s", message)
    else:
        print(message, flush=True)
