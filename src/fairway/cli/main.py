"""`fairway COMMAND ...`: find the command, run it, turn a user's mistake into one line.

Commands are modules of this package with a function `run(arguments)`; only the one asked for is imported, so that
`fairway --help` and `fairway list` answer without torch.
"""

import importlib
import os
import sys
from collections.abc import Sequence

from fairway.core.registry import did_you_mean

COMMANDS = {
    "list": ("fairway.cli.list", "every model: its family and what it is"),
    "fit": ("fairway.cli.fit", "train a model on data: fairway fit MODEL DATA [options]"),
    "sample": ("fairway.cli.sample", "draw from a run: fairway sample RUN --n 64 --out samples.png"),
    "log-prob": ("fairway.cli.log_prob", "score rows: fairway log-prob RUN DATA"),
    "evaluate": ("fairway.cli.evaluate", "held-out likelihood of a run: fairway evaluate RUN [DATA]"),
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
    """Run a command line; 0 when it worked, 2 for a user's mistake, 1 for a failure."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    if not given or given[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if given[0] == "--version":
        import fairway

        print(f"fairway {fairway.__version__}")
        return 0
    if given[0] not in COMMANDS:
        return _fail(f"no command {given[0]!r}{did_you_mean(given[0], list(COMMANDS))}")
    return _run_command(COMMANDS[given[0]][0], given[1:], debug)


def _run_command(module: str, arguments: list[str], debug: bool) -> int:
    """Import and run one command; known kinds of error become one line."""
    try:
        code = importlib.import_module(module).run(arguments)
        sys.stdout.flush()
        return int(code or 0)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, KeyError, OSError, ImportError, RuntimeError) as error:
        if debug:
            raise
        known = isinstance(error, ValueError | TypeError | KeyError | OSError)
        return _fail(str(error) or type(error).__name__, USER_ERROR if known else 1)


def _fail(message: str, code: int = USER_ERROR) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code
