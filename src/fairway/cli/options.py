"""Options from constructor signatures, with their docstrings: nothing is declared twice.

Only plain types (numbers, words, choices, sequences of them) become options: no option names a class, so no command
line and no file can make the parser import or run anything.
"""

import inspect
import re
import types
from collections.abc import Callable, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser

PLAIN = (int, float, str, bool, type(None))


def is_plain(hint: Any) -> bool:
    """Whether a type hint holds numbers, words, choices, or sequences of them."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return all(is_plain(part) for part in get_args(hint))
    if origin is Literal:
        return True
    if origin in (Sequence, tuple, list):
        return all(is_plain(part) for part in get_args(hint) if part is not Ellipsis)
    return hint in PLAIN


def plain_options(target: Any, skip: Sequence[str] = ()) -> dict[str, tuple[Any, Any]]:
    """name -> (type, default) of a callable's plain keyword options."""
    function = target.__init__ if inspect.isclass(target) else target
    hints, found = get_type_hints(function), {}
    for name, parameter in inspect.signature(function).parameters.items():
        usable = parameter.default is not parameter.empty and name not in skip
        if usable and is_plain(hints.get(name, object)):
            found[name] = (hints[name], parameter.default)
    return found


def documented(target: Any) -> dict[str, str]:
    """name -> what the docstring's Args section says of it (several names may share a line)."""
    text = inspect.getdoc(target) or ""
    section = re.search(r"Args:\n(.*?)(?:\n\S|\Z)", text, re.DOTALL)
    body = " ".join((section[1] if section else "").split("\n\n")[0].split())
    parts = re.split(r"(?:^|(?<=[.)\s]))((?:\w+, )*\w+): ", body)
    found = {}
    for names, words in zip(parts[1::2], parts[2::2], strict=True):
        found.update(dict.fromkeys(names.split(", "), words.strip()))
    return found


def add_options(
    parser: ArgumentParser, title: str, target: Any, prefix: str = "", skip: Sequence[str] = (), **defaults: Any
) -> list[str]:
    """Add a group with the options of a callable; returns their names with the prefix.

    Args:
        parser: to add to. title: of the group.
        target: a class or a function.
        prefix: "objective." and the like.
        skip: names to leave out.
        defaults: other defaults than the signature's.
    """
    options, words = plain_options(target, skip), documented(target)
    group = parser.add_argument_group(title) if options else parser
    for name, (hint, default) in options.items():
        text = words.get(name, "").replace("%", "%%") or name.replace("_", " ")
        chosen = defaults.get(name, default)
        if hint is bool and default is False:
            group.add_argument(f"--{prefix}{name}", action="store_true", default=bool(chosen), help=text)
        else:
            group.add_argument(f"--{prefix}{name}", type=_kind(hint), default=chosen, help=text)
    return [prefix + name for name in options]


def _kind(hint: Any) -> Any:
    """What reads an option's words: sequences as 64,64; a duration where it is used; the rest by its type."""
    if hint == (float | str | None):
        return Any
    if get_origin(hint) in (Sequence, tuple, list):
        return numbers_with(get_args(hint)[0])
    return hint


def numbers_with(entry: type) -> Callable[[Any], tuple[Any, ...]]:
    """A reader of "64,64" (brackets and spaces allowed)."""

    def sequence(text: Any) -> tuple[Any, ...]:
        if not isinstance(text, str):
            return tuple(text)
        words = [word.strip() for word in text.strip("[]() ").split(",") if word.strip()]
        try:
            return tuple(entry(word) for word in words)
        except ValueError:
            raise ValueError(f"expected numbers with commas between, such as 64,64; got {text!r}") from None

    return sequence


def value_of(argv: Sequence[str], name: str) -> str | None:
    """The value of `--name VALUE` or `--name=VALUE` on a command line, without parsing the rest."""
    for i, word in enumerate(argv):
        if word == f"--{name}" and i + 1 < len(argv):
            return argv[i + 1]
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    return None


def without(argv: Sequence[str], name: str) -> list[str]:
    """The command line without `--name VALUE`."""
    kept, skip = [], False
    for word in argv:
        if skip:
            skip = False
        elif word == f"--{name}":
            skip = True
        elif not word.startswith(f"--{name}="):
            kept.append(word)
    return kept
