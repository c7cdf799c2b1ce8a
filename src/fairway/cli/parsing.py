"""Parsing that ends in one line: unknown options say which are near, bad values say what was expected."""

import argparse
import re
from argparse import ArgumentError
from collections.abc import Sequence
from typing import Any, NoReturn

from fairway.core.registry import did_you_mean


class LightParser(argparse.ArgumentParser):
    """The standard library's parser, raising instead of exiting: for commands that answer in milliseconds."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentError(None, message)


def parser_of(command: str, description: str) -> Any:
    """jsonargparse's parser: raises instead of exiting, reads no files and names no classes."""
    from jsonargparse import ArgumentParser

    return ArgumentParser(prog=f"fairway {command}", description=description, exit_on_error=False, default_env=False)


def parse(parser: Any, arguments: Sequence[str], elsewhere: Sequence[str] = ()) -> Any:
    """Parse, or raise a ValueError of one line.

    Args:
        elsewhere: options there are, but that this parser does not hold.
    """
    words = [_underscored(word) for word in arguments]
    known = [*_options(parser), *elsewhere]
    for word in words:
        name = word.partition("=")[0]
        if word.startswith("--") and name not in known:
            raise ValueError(f"no option {name}{did_you_mean(name, known)}")
    try:
        return parser.parse_args(words)
    except ArgumentError as error:
        raise ValueError(_said_better(str(error), parser)) from None


def plain(namespace: Any, names: Sequence[str]) -> dict[str, Any]:
    """The values of some options by their full (dotted) name."""
    return {name: namespace[name] for name in names}


def _options(parser: Any) -> list[str]:
    """Every --name of a parser."""
    return [name for action in parser._actions for name in action.option_strings if name.startswith("--")]


def _underscored(word: str) -> str:
    """--batch-size as --batch_size: both are typed."""
    name, equals, value = word.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value if word.startswith("--") else word


def _said_better(message: str, parser: Any) -> str:
    """argparse's message as what was expected and what came."""
    places = {action.dest: action.help for action in parser._actions if not action.option_strings}
    if found := re.match(r"argument (--[\w.]+): as (.*)", message, re.DOTALL):
        return f"expected {found[1]} as {found[2]}"
    if found := re.match(r"argument (--[\w.]+): expected one argument", message):
        return f"expected a value after {found[1]}, got none"
    if found := re.match(r"argument (--[\w.]+): ignored explicit argument (.*)", message):
        return f"expected {found[1]} without a value, got {found[2]}"
    if found := re.match(r"the following arguments are required: (\w+)", message):
        return f"expected {found[1].upper()}: {places.get(found[1])}"
    if found := re.match(r"unrecognized arguments: (.*)", message):
        taken = " and ".join([*(name.upper() for name in places), "options"])
        return f"expected {taken}, got also {found[1]!r}"
    return " ".join(message.split())
