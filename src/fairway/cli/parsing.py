"""Parsing that ends in one line: unknown options say which are near, bad values say what was expected."""

import re
from collections.abc import Sequence
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from fairway.core.registry import did_you_mean


def parser_of(command: str, description: str) -> ArgumentParser:
    """A parser that raises instead of exiting, reads no files and names no classes."""
    return ArgumentParser(prog=f"fairway {command}", description=description, exit_on_error=False, default_env=False)


def parse(parser: ArgumentParser, arguments: Sequence[str], names: Sequence[str]) -> Namespace:
    """Parse, or raise a ValueError of one line.

    Args:
        names: the options there are, to suggest from.
    """
    words = [_underscored(word) for word in arguments]
    for word in words:
        name = word[2:].partition("=")[0]
        if word.startswith("--") and name not in (*names, "help"):
            raise ValueError(f"no option --{name}{did_you_mean(name, list(names))}")
    try:
        return parser.parse_args(words)
    except ArgumentError as error:
        raise ValueError(_short(str(error))) from None


def _underscored(word: str) -> str:
    """--batch-size as --batch_size: both are typed."""
    name, equals, value = word.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value if word.startswith("--") else word


def _short(message: str) -> str:
    """jsonargparse's message without its advice and its trace of attempts."""
    first = re.sub(r"^Parser key \"?([\w.-]+)\"?:", r"--\1:", message.strip())
    lines = [line.strip(" -") for line in first.splitlines() if line.strip()]
    return "; ".join(lines[:3]).replace(":;", ":")


def plain(namespace: Namespace, names: Sequence[str]) -> dict[str, Any]:
    """The values of some options by their full (dotted) name."""
    return {name: namespace[name] for name in names}
