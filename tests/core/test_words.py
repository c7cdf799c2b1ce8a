"""A message is one line of bounded length, and no terminal obeys it."""

import pytest

from fairway.core.words import LONGEST, one_line


def test_control_codes_are_written_as_escapes():
    said = one_line("red \x1b[31m, bell \x07, turned \u202e, lone \udcff, C1 \x9b, NUL \x00")
    assert said == r"red \x1b[31m, bell \x07, turned \u202e, lone \udcff, C1 \x9b, NUL \x00"
    assert said.isprintable()


def test_lines_become_one_and_letters_of_all_languages_stay():
    assert one_line("a\nb\r\n\tc  größe 日本 é") == "a b c größe 日本 é"


@pytest.mark.parametrize("text", ["x" * 10**7, "\x1b" * 10**7, "a " * 10**6])
def test_long_texts_keep_beginning_and_end(text):
    said = one_line(f"first {text} last")
    assert len(said) <= LONGEST + 10
    assert said.startswith("first") and said.endswith("last")
