"""Options are signatures: names, types, defaults and the words of the docstring."""

import inspect
from collections.abc import Sequence

import pytest

from fairway.cli.options import add_options, documented, plain_options, said, value_of, without
from fairway.cli.parsing import parse, parser_of, plain
from fairway.models.registry import models
from fairway.objectives.registry import objectives
from fairway.samplers.registry import samplers
from fairway.training.fit import fit


class Part:
    """A part: with a colon.

    Args:
        event: what one observation is.
        width: how wide (of a part: not an option).
        low, high: the range. percent: of 100 %.
        fast: sooner, at a price,
            on two lines. network: a module.

    Raises:
        ValueError: never: really.
    """

    def __init__(
        self,
        event: object,
        width: int = 3,
        low: float = 0.0,
        high: float | None = None,
        percent: int = 5,
        fast: bool = False,
        slow: bool = True,
        hidden: Sequence[int] = (8, 8),
        network: object | None = None,
    ) -> None:
        self.given = (event, width, low, high, percent, fast, slow, hidden, network)


class Child(Part):
    """A child that documents one of its options.

    Args:
        width: how wide a child is.
    """


NAMES = ["width", "low", "high", "percent", "fast", "slow", "hidden"]


def test_plain_options_are_the_plain_ones_with_a_default():
    assert list(plain_options(Part)) == NAMES
    assert plain_options(Part)["high"] == (float | None, None)
    assert list(plain_options(Part, skip=["width", "fast"])) == ["low", "high", "percent", "slow", "hidden"]


def test_the_docstring_says_what_each_is():
    assert documented(Part, NAMES) == {
        "width": "how wide (of a part: not an option).",
        "low": "the range.",
        "high": "the range.",
        "percent": "of 100 %.",
        "fast": "sooner, at a price, on two lines.",
    }
    assert documented(Child, ["width", "low"]) == {"width": "how wide a child is.", "low": "the range."}
    assert documented(lambda: None, ["x"]) == {} == documented(Part, [])


@pytest.mark.parametrize("table", [models, objectives, samplers], ids=lambda table: table.role)
def test_every_option_of_every_part_is_documented(table):
    for name in table:
        names = list(plain_options(table[name], skip=("event", "context_event")))
        missing = set(names) - set(documented(table[name], names))
        assert not missing, f"{table.role} {name}: the docstring's Args says nothing of {sorted(missing)}"


def test_the_fits_own_options_are_documented():
    names = list(plain_options(fit))
    assert {"steps", "budget", "lr", "seed", "resume"} <= set(names) == set(documented(fit, names))


def parsed(words, target=Part, **keywords):
    parser = parser_of("test", "A test.")
    names = add_options(parser, "the part", target, **keywords)
    return plain(parse(parser, words), names)


def test_defaults_are_the_signatures():
    assert parsed([]) == {name: default for name, (_, default) in plain_options(Part).items()}


def test_values_are_read_by_type():
    words = ["--width", "7", "--high=none", "--fast", "--slow", "false", "--hidden", "[4, 2]"]
    found = parsed(words)
    assert found["width"] == 7 and found["high"] is None and found["hidden"] == (4, 2)
    assert found["fast"] is True and found["slow"] is False


def test_a_prefix_and_other_defaults():
    found = parsed(["--part.width", "7"], prefix="part.", defaults={"low": 2, "hidden": [3], "prefix": 1, "fast": True})
    assert found["part.width"] == 7 and found["part.low"] == 2.0 and found["part.hidden"] == (3,)
    assert found["part.fast"] is True
    assert parsed(["--fast", "no"], defaults={"fast": True})["fast"] is False  # what a file switched on can be undone


def test_a_default_of_another_type_is_refused():
    with pytest.raises(ValueError, match=r"expected part.width as a whole number, got 'abc' in the file"):
        parsed([], prefix="part.", defaults={"width": "abc"})
    with pytest.raises(ValueError, match="expected hidden as whole numbers"):
        parsed([], defaults={"hidden": {"class_path": "os.system"}})


def test_help_shows_the_docstring_the_type_and_the_default(capsys):
    with pytest.raises(SystemExit):
        parsed(["--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "the part:" in out and "of 100 percent. (type: a whole number, default: 5)" in out
    assert "whole numbers with commas between" in out and "<" not in out


def test_what_a_command_line_says():
    words = ["--batch-size", "3", "--lr=1", "--objective.warm-up", "5", "value"]
    assert said(words, ["batch_size", "lr", "steps", "objective.warm_up", "value"]) == [
        "batch_size",
        "lr",
        "objective.warm_up",
    ]


def test_looking_at_one_option_without_parsing_the_rest():
    words = ["gmm", "--objective", "em", "--steps=3", "data"]
    assert value_of(words, "objective") == "em" and value_of(words, "steps") == "3" and value_of(words, "out") is None
    assert without(words, "objective") == ["gmm", "--steps=3", "data"]
    assert without(words, "steps") == ["gmm", "--objective", "em", "data"]
    assert value_of(["--objective.beta", "3"], "objective") is None
    for words in (["gmm", "--objective"], ["--objective", "--steps", "3"]):
        with pytest.raises(ValueError, match="expected a value after --objective, got none"):
            value_of(words, "objective")


def test_the_signature_stays_the_only_place_of_a_default():
    """What `add_options` offers for every model is exactly its constructor's plain options."""
    for name in models:
        options = plain_options(models[name], skip=("event", "context_event"))
        parameters = inspect.signature(models[name].__init__).parameters
        assert all(parameters[key].default == default for key, (_, default) in options.items())
