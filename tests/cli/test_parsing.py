"""Parsing that ends in one line."""

import argparse

import pytest

from fairway.cli.parsing import LightParser, parse, parser_of, plain
from fairway.cli.reading import Reader


def heavy():
    return parser_of("test", "A test.")


def light():
    return LightParser("fairway test", description="A test.")


@pytest.fixture(params=[heavy, light])
def parser(request):
    parser = request.param()
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--batch_size", type=Reader(int | None), default=4, help="rows")
    parser.add_argument("--quiet", action="store_true", help="no bar")
    return parser


def test_both_spellings_and_both_ways_to_give_a_value(parser):
    for words in (["r", "--batch-size", "8"], ["r", "--batch_size=8"], ["--batch-size=8", "r"]):
        assert parse(parser, words).batch_size == 8
    assert parse(parser, ["r"]).batch_size == 4
    assert parse(parser, ["r", "--batch-size", "-8"]).batch_size == -8


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["r", "--batch-sise", "8"], "no option --batch_sise; did you mean '--batch_size'?"),
        (["r", "--batch", "8"], "no option --batch; did you mean '--batch_size'?"),  # no abbreviations
        (["r", "--batch-size", "x"], "expected --batch_size as a whole number or none, got 'x'"),
        (["r", "--batch-size"], "expected a value after --batch_size, got none"),
        (["r", "--quiet=yes"], "expected --quiet without a value, got 'yes'"),
        (["r", "s"], "expected RUN and options, got also 's'"),
        ([], "expected RUN: a run folder"),
    ],
)
def test_mistakes_are_one_line(parser, words, line):
    with pytest.raises(ValueError) as caught:
        parse(parser, words)
    assert str(caught.value) == line


def test_options_that_live_elsewhere_are_suggested_too(parser):
    with pytest.raises(ValueError, match="did you mean '--objective'"):
        parse(parser, ["r", "--objectiv", "x"], ["--objective"])


def test_no_abbreviation_and_no_exit(parser, capsys):
    with pytest.raises(ValueError):
        parse(parser, ["r", "--qui"])
    assert capsys.readouterr() == ("", "")
    with pytest.raises(SystemExit) as end:
        parse(parser, ["--help"])
    assert end.value.code in (0, None) and "a run folder" in capsys.readouterr().out


def test_another_message_is_kept_on_one_line():
    parser = light()
    parser.add_argument("--way", choices=["a", "b"])
    with pytest.raises(ValueError, match=r"^argument --way: invalid choice: 'c'"):
        parse(parser, ["--way", "c"])
    with pytest.raises(argparse.ArgumentError):
        light().error("as it is")


def test_dotted_names_are_read_by_their_full_name():
    parser = heavy()
    parser.add_argument("--objective.beta", type=Reader(float), default=1.0)
    assert plain(parse(parser, ["--objective.beta", "3"]), ["objective.beta"]) == {"objective.beta": 3.0}
    with pytest.raises(ValueError, match=r"did you mean '--objective.beta'"):
        parse(parser, ["--objective.betta", "3"])
    with pytest.raises(ValueError, match=r"^expected --objective.beta as a number, got 'x'$"):
        parse(parser, ["--objective.beta", "x"])
