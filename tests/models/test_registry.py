"""THE table: every line leads to a model of that name, with its own citation in the bibliography and tiny cases."""

import re
from pathlib import Path

import pytest

import fairway
from fairway.core.event import KINDS
from fairway.core.model import Case, Model
from fairway.core.registry import UnknownName
from fairway.models.registry import MODELS, models

BIBLIOGRAPHY = (Path(fairway.__file__).parent / "citations.bib").read_text()
KEYS = set(re.findall(r"@\w+\s*\{\s*([^,\s]+)\s*,", BIBLIOGRAPHY))


@pytest.mark.parametrize("name", list(MODELS))
def test_every_line_leads_to_a_model_of_that_name(name):
    model = models[name]
    assert issubclass(model, Model) and model.name() == name
    assert model.__dict__["cites"] and set(model.cites) <= KEYS
    assert set(model.accepts) <= set(KINDS) and set(model.accepts_context) <= set(KINDS)
    assert len(model.tiny) >= 2 and all(isinstance(case, Case) for case in model.tiny)


def test_lines_name_modules_within_the_families():
    assert all(re.fullmatch(r"fairway\.models(\.\w+){2}:\w+", line) for line in MODELS.values())
    assert len(set(MODELS.values())) == len(MODELS)


def test_near_names():
    with pytest.raises(UnknownName, match="did you mean 'real_nvp'"):
        models["realnvp"]
