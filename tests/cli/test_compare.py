"""`fairway compare`: what is asked of `fairway.compare`, what is printed, and the exit code."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

import fairway.report.compare as report
from fairway.report.row import Row


@dataclass
class Found:
    """Instead of a comparison that trains."""

    status: str = "ok"
    asked: ClassVar[dict] = {}
    rows: list = field(default_factory=list)

    def __call__(self, models, x, **options):
        self.asked.update({"models": models, "x": x, **options})
        self.rows = [Row("gmm", status=self.status)]
        return self

    def __str__(self):
        return "the table"


@pytest.fixture
def found(monkeypatch):
    found = Found()
    monkeypatch.setattr(report, "compare", found)
    return found


def test_what_is_asked_and_printed(cli, found):
    words = ("--models", "gmm,made", "--budget", "30s", "--seed", "2", "--holdout", ".3", "--out", "there")
    ended = cli("compare", "digits", *words, "--context", "labels")
    assert ended.code == 0 and ended.out == "the table\nreport: there/report.html\npictures: there/pictures\n"
    assert found.asked == {
        "models": "gmm,made",
        "x": "digits",
        "context": "labels",
        "budget": "30s",
        "steps": None,
        "seed": 2,
        "holdout": 0.3,
        "out": "there",
    }


def test_a_failed_row_is_a_failure(cli, found):
    found.status = "failed"
    assert cli("compare", "digits", "--models", "gmm", "--steps", "3").code == 1
    assert found.asked["steps"] == 3 and found.asked["budget"] is None and found.asked["out"] == "runs/compare"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("moons", "expected --models a,b,c: names that `fairway list` shows"),
        ("moons --models ,", "expected --models a,b,c: names that `fairway list` shows"),
        ("moons --models", "expected a value after --models, got none"),
        ("--models gmm", "expected DATA: a data set's name, or a path"),
        ("moons --models gmm,gmn", "no model named 'gmn'; did you mean 'gmm'?"),
        ("moons --models gmm,os.system", "expected a label of letters, digits, - and _, got 'os.system'"),
        ("moons --models gmm,gmm", "expected each model once, got 'gmm' twice"),
        ("moonz --models gmm", "did you mean the dataset 'moons'?"),
        ("moons --models gmm --budget soon", "expected a budget such as 30s"),
        ("moons --models gmm --steps 0", "expected steps as an integer of at least 1, got 0"),
        ("moons --models gmm --seed x", "expected --seed as a whole number, got 'x'"),
        ("moons --models gmm --holdout 2", "expected a fraction between 0 and 1 to hold out, got 2.0"),
        ("moons --models gmm --context foo", "expected context as an array, or 'labels'"),
        ("moons --model gmm", "no option --model; did you mean '--models'?"),
    ],
)
def test_mistakes_cost_no_training(cli, words, line):
    assert line in cli("compare", *words.split()).error
