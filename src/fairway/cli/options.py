"""Options from constructor signatures, with their docstrings: nothing is declared twice.

Only plain types (numbers, words, choices, sequences of them; see `reading`) become options. What a command line did
not say is not handed on, so that a default is stated in one place: the signature it comes from.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from jsonargparse import ArgumentParser

from fairway.cli.reading import Reader, expectation, is_plain, read


def plain_options(target: Any, skip: Sequence[str] = ()) -> dict[str, tuple[Any, Any]]:
    """name -> (type, default) of a callable's plain options."""
    function = target.__init__ if inspect.isclass(target) else target
    hints, found = get_type_hints(function), {}
    for name, parameter in inspect.signature(function).parameters.items():
        usable = parameter.default is not parameter.empty and name not in skip
        if usable and is_plain(hints.get(name, object)):
            found[name] = (hints[name], parameter.default)
    return found


def documented(target: Any, names: Sequence[str]) -> dict[str, str]:
    """name -> what the docstring's Args section says of it (several names may share a line, or one its words).

    A class whose docstring leaves an option out inherits the words of its base.
    """
    found: dict[str, str] = {}
    for holder in reversed(target.__mro__) if inspect.isclass(target) else [target]:
        found |= _args_section(inspect.cleandoc(holder.__doc__ or ""), names)
    return found


def _args_section(text: str, names: Sequence[str]) -> dict[str, str]:
    section = re.search(r"Args:\n(.*?)(?:\n\S|\n\n|\Z)", text, re.DOTALL)
    known = "|".join(map(re.escape, names))
    if section is None or not known:
        return {}
    body = " ".join(section[1].split())
    parts = re.split(rf"(?:^|(?<=[.?!] )|(?<=\) ))((?:\w+, )*(?:{known})(?:, \w+)*): ", body)
    found: dict[str, str] = {}
    for shared, words in zip(parts[1::2], parts[2::2], strict=True):
        # words may run into the entry of a parameter that is no option ("x: rows.")
        found |= dict.fromkeys(shared.split(", "), re.split(r"(?<=[.)]) \w+(?:, \w+)*: ", words)[0].strip())
    return {name: found[name] for name in names if name in found}


def add_options(
    parser: ArgumentParser,
    title: str,
    target: Any,
    prefix: str = "",
    skip: Sequence[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> list[str]:
    """Add a group with the options of a callable; returns their names with the prefix.

    Args:
        parser: to add to. title: of the group.
        target: a class or a function.
        prefix: "objective." and the like.
        skip: names to leave out.
        defaults: other defaults than the signature's (those of a configuration file).

    Raises:
        ValueError: a default that does not fit the option's type.
    """
    options = plain_options(target, skip)
    words = documented(target, list(options))
    group = parser.add_argument_group(title) if options else parser
    for name, (hint, default) in options.items():
        text = re.sub(" ?%", " percent", words.get(name, "")) or name.replace("_", " ")  # parsers format with %
        if defaults is not None and name in defaults:
            default = _fitting(f"{prefix}{name}", defaults[name], hint)
        if hint is bool and not default:
            group.add_argument(f"--{prefix}{name}", action="store_true", default=False, help=text)
        else:
            group.add_argument(f"--{prefix}{name}", type=Reader(hint), default=default, help=text)
    return [prefix + name for name in options]


def _fitting(name: str, value: Any, hint: Any) -> Any:
    try:
        return read(value, hint)
    except ValueError:
        raise ValueError(f"expected {name} as {expectation(hint)}, got {str(value)[:80]!r} in the file") from None


def said(arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """Which of these options a command line says, in either spelling."""
    heads = {word[2:].partition("=")[0].replace("-", "_") for word in arguments if word.startswith("--")}
    return [name for name in names if name in heads]


def value_of(arguments: Sequence[str], name: str) -> str | None:
    """The value of `--name VALUE` or `--name=VALUE` on a command line, without parsing the rest.

    Raises:
        ValueError: the option without a value.
    """
    for i, word in enumerate(arguments):
        if word == f"--{name}":
            if i + 1 == len(arguments) or arguments[i + 1].startswith("-"):
                raise ValueError(f"expected a value after --{name}, got none")
            return arguments[i + 1]
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    return None


def without(arguments: Sequence[str], name: str) -> list[str]:
    """The command line without `--name VALUE`."""
    kept, skip = [], False
    for word in arguments:
        if skip:
            skip = False
        elif word == f"--{name}":
            skip = True
        elif not word.startswith(f"--{name}="):
            kept.append(word)
    return kept
