"""Citations of every model in the table."""

import pytest

from fairway.core.registry import UnknownName
from fairway.models.registry import MODELS
from fairway.report.cite import cite, entries


def test_the_bibliography_is_whole():
    found = entries()
    assert len(found) > 5
    for key, text in found.items():
        assert text.count("{") == text.count("}") and key in text.splitlines()[0]
        assert "title" in text and "author" in text and "year" in text


@pytest.mark.parametrize("name", ["gmm", "made", "real_nvp", "vae"])
def test_a_model_by_name_class_and_instance(name):
    from fairway.models.registry import models

    cls = models[name]
    case = cls.tiny[0]
    assert cite(name) == cite(cls) == cite(cls(case.event, case.context_event, **case.arguments))
    assert all(key in cite(name) for key in cls.cites)


def test_unknown_names_and_models_without_a_paper():
    with pytest.raises(UnknownName, match="did you mean 'real_nvp'"):
        cite("realnvp")

    class Homemade:
        cites = ()

    with pytest.raises(ValueError, match="cites no paper"):
        cite(Homemade)
    assert "gmm" in MODELS
