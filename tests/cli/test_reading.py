"""Words by the type that a signature states."""

from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from typing import Literal

import pytest

from fairway.cli.reading import Reader, expectation, is_plain, read

Way = Literal["full", "tied", 3]


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("128", int, 128),
        ("-3", int, -3),
        ("1e-3", float, 1e-3),
        ("7", float, 7.0),
        ("full", str, "full"),
        ("true", bool, True),
        ("No", bool, False),
        ("none", int | None, None),
        ("null", float | None, None),
        ("5", int | None, 5),
        ("none", str | None, None),
        ("full", Way, "full"),
        ("3", Way, 3),
        ("64,64", Sequence[int], (64, 64)),
        ("[64, 64]", tuple[int, ...], (64, 64)),
        ("64", Sequence[int], (64,)),
        ("0.5,1", list[float], (0.5, 1.0)),
        ("natural", str | Sequence[int], "natural"),
        ("2,0,1", str | Sequence[int], (2, 0, 1)),
        ("30s", float | str | None, "30s"),
        ("30", float | str | None, 30.0),
    ],
)
def test_typed_words(text, hint, value):
    found = read(text, hint)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "hint", "kept"),
    [
        (None, int | None, None),
        (8, int, 8),
        (8, float, 8.0),
        ([8, 4], Sequence[int], (8, 4)),
        ((), Sequence[int], ()),
        (True, bool, True),
        ("30s", float | str | None, "30s"),
    ],
)
def test_values_of_a_file_pass_through_the_same_door(value, hint, kept):
    assert read(value, hint) == kept


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("abc", int),
        ("1.5", int),
        (1.5, int),
        (True, int),
        (True, float),
        ("", int),
        ("abc", float | None),
        ("maybe", bool),
        (2, bool),
        ("ful", Way),
        ("64,x", Sequence[int]),
        ("8,8.5", Sequence[int]),
        (64, Sequence[int]),
        ([1, "x"], Sequence[int]),
        ({"class_path": "os.system"}, int | str | None),
        (None, int),
        (5, str),
    ],
)
def test_what_does_not_fit_is_refused(value, hint):
    with pytest.raises(ValueError):
        read(value, hint)


def test_a_reader_says_what_it_expected():
    assert repr(Reader(int | None)) == "a whole number or none"
    assert repr(Reader(float)) == "a number"
    assert expectation(Way) == "one of full, tied, 3"
    assert expectation(str | Sequence[int]) == "a word or whole numbers with commas between, such as 64,64"
    assert expectation(Sequence[float]) == "numbers with commas between"
    with pytest.raises(ArgumentTypeError, match="as a whole number, got 'abc'"):
        Reader(int)("abc")


def test_only_plain_types_are_readable():
    assert is_plain(int | None) and is_plain(Sequence[int]) and is_plain(Way) and is_plain(tuple[float, ...])
    for hint in (object, Callable, dict, Sequence[object], int | object, type):
        assert not is_plain(hint)
