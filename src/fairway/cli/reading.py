"""Words typed by a user, read by the type that a signature states; what does not fit is answered by what was expected.

    int, float, str, bool        128    1e-3    full    true / false
    X | None                     the word none (or null) for None
    Literal["a", "b"]            one of these words
    Sequence[int]                64,64 (brackets and spaces allowed)

Values that come from a JSON file pass through the same door. Nothing else is readable: no option names a class, so no
command line and no file can make a parser import or run anything.
"""

import sys
import types
from argparse import ArgumentTypeError
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin

WORDS = {int: "a whole number", float: "a number", str: "a word", bool: "true or false", type(None): "none"}
UNIONS, SEQUENCES = (Union, types.UnionType), (Sequence, tuple, list)
NOTHING, TRUTH = ("none", "null"), {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def is_plain(hint: Any) -> bool:
    """Whether a type hint holds numbers, words, choices, or sequences of them."""
    origin = get_origin(hint)
    if origin is Literal:
        return True
    if origin in (*UNIONS, *SEQUENCES):
        return all(is_plain(part) for part in get_args(hint) if part is not Ellipsis)
    return hint in WORDS


def expectation(hint: Any) -> str:
    """A plain type in words.

    >>> expectation(int | None), expectation(Sequence[int])
    ('a whole number or none', 'whole numbers with commas between, such as 64,64')
    """
    origin = get_origin(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if origin in SEQUENCES:
        kind = WORDS[get_args(hint)[0]].removeprefix("a ") + "s"
        return f"{kind} with commas between" + (", such as 64,64" if get_args(hint)[0] is int else "")
    return " or ".join(expectation(part) for part in get_args(hint)) if origin in UNIONS else WORDS[hint]


def read(value: Any, hint: Any) -> Any:
    """A typed word, or a value from a JSON file, as the type asks.

    Raises:
        ValueError: it does not fit.

    >>> read("64, 64", Sequence[int]), read("none", int | None), read("30s", float | str | None)
    ((64, 64), None, '30s')
    """
    origin = get_origin(hint)
    if origin in UNIONS:
        return _first_that_fits(value, get_args(hint))
    if origin is Literal:
        return _only([choice for choice in get_args(hint) if choice == value or str(choice) == value])
    if origin in SEQUENCES:
        return tuple(read(part, get_args(hint)[0]) for part in _parts(value))
    if hint is type(None):
        return _only([None] if value is None or str(value).lower() in NOTHING else [])
    if hint is bool and isinstance(value, str):
        return _only([TRUTH[value.lower()]] if value.lower() in TRUTH else [])
    return _scalar(value, hint)


def _only(found: list[Any]) -> Any:
    if not found:
        raise ValueError("nothing fits")
    return found[0]


def _first_that_fits(value: Any, hints: Sequence[Any]) -> Any:
    """None first and words last, since every text is a word."""
    for hint in sorted(hints, key=lambda part: (part is str, part is not type(None))):
        try:
            return read(value, hint)
        except ValueError:
            continue
    raise ValueError("nothing fits")


def _parts(value: Any) -> list[Any]:
    """The entries of a sequence."""
    if isinstance(value, str):
        return [word.strip() for word in value.strip("[]() ").split(",") if word.strip()]
    if isinstance(value, list | tuple):
        return list(value)
    raise ValueError("not a sequence")


def _scalar(value: Any, hint: Any) -> Any:
    """Words become numbers; a number stays what it is, but a whole one may stand for any."""
    if isinstance(value, str):
        value = hint(value)
    if value != value:
        raise ValueError("not a number")
    if hint is float and isinstance(value, int) and abs(value) > sys.float_info.max:
        raise ValueError("beyond any number of this type")
    fits = isinstance(value, int | float) if hint is float else isinstance(value, hint)
    if not fits or (isinstance(value, bool) and hint is not bool):
        raise ValueError("another type")
    return hint(value)


class Reader:
    """What reads the words of one option; its representation is what `--help` prints as the type.

    Args:
        hint: the type that the signature states, a plain one.
    """

    def __init__(self, hint: Any) -> None:
        self.hint = hint

    def __repr__(self) -> str:
        return expectation(self.hint)

    def __call__(self, value: Any) -> Any:
        try:
            return read(value, self.hint)
        except ValueError:
            raise ArgumentTypeError(f"as {self!r}, got {value!r}") from None
