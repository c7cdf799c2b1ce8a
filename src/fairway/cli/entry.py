"""`fairway COMMAND ...`: find the command, run it, turn a user's mistake into one line.

Commands are modules of this package with a function `run(arguments)`; only the one asked for is imported, so that
`fairway --help` and `fairway list` answer without torch.
"""

import importlib
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from fairway.core.registry import UnknownName, did_you_mean
from fairway.core.words import one_line

COMMANDS = {
    "list": ("fairway.cli.list", "every model: its family and what it is"),
    "fit": ("fairway.cli.fit", "train a model on data: fairway fit MODEL DATA [options]"),
    "sample": ("fairway.cli.sample", "draw from a run: fairway sample RUN --n 64 --out samples.png"),
    "log-prob": ("fairway.cli.log_prob", "score rows: fairway log-prob RUN DATA"),
    "evaluate": ("fairway.cli.evaluate", "held-out likelihood of a run: fairway evaluate RUN [DATA]"),
    "summary": ("fairway.cli.summary", "what a run's model is made of and answers: fairway summary RUN"),
    "compare": ("fairway.cli.compare", "several models on the same data: fairway compare DATA --models a,b,c"),
    "cite": ("fairway.cli.cite", "the papers behind a model, as BibTeX: fairway cite MODEL"),
}
USER_ERROR, INTERRUPTED = 2, 130


def help_text() -> str:
    """What `fairway --help` prints."""
    lines = [f"  {name:<10} {summary}" for name, (_, summary) in COMMANDS.items()]
    head = "usage: fairway COMMAND [arguments]\n\ndeep generative models behind one interface\n\ncommands:\n"
    tail = "\n\nfairway COMMAND --help says more; --debug shows where an error came from; --version"
    return head + "\n".join(lines) + tail


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; 0 when it worked, 2 for a user's mistake, 1 for a failure.

    With `--debug` errors are raised as they are.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    _print_anything()
    try:
        code = _dispatch([argument for argument in given if argument != "--debug"])
        if sys.stdout is not None:  # closed from the start
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return _explain(error)


def _print_anything() -> None:
    """Let a terminal without the letters of a name show their numbers, instead of ending a command that is done."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _dispatch(given: list[str]) -> int:
    """Answer by oneself, or import one command and run it."""
    if not given or given[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if given[0] == "--version":
        import fairway

        print(f"fairway {fairway.__version__}")
        return 0
    if given[0] not in COMMANDS:
        raise ValueError(f"no command {given[0]!r}{did_you_mean(given[0], list(COMMANDS))}")
    try:
        return int(importlib.import_module(COMMANDS[given[0]][0]).run(given[1:]) or 0)
    except SystemExit as end:  # how a parser ends after --help
        return int(end.code or 0)


def _explain(error: Exception) -> int:
    """One line: of a user's mistake, of a failure that says enough, or of a fault that nobody foresaw."""
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return _fail(f"out of memory: choose smaller sizes or fewer rows ({str(error)[-200:]})", 1)
    if isinstance(error, OSError) and error.filename is not None:
        return _fail(f"cannot use {str(error.filename)!r}: {error.strerror}")
    if isinstance(error, ValueError | TypeError | UnknownName | OSError):
        return _fail(str(error) or type(error).__name__)
    if isinstance(error, RuntimeError | ImportError):
        return _fail(str(error) or type(error).__name__, 1)
    return _fail(f"{type(error).__name__}: {error} (unforeseen; --debug shows where)", 1)


def _fail(message: str, code: int = USER_ERROR) -> int:
    with suppress(OSError, ValueError):  # nobody may be listening
        print(f"error: {one_line(message)}", file=sys.stderr)
    return code
