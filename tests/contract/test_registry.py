"""The contract over the whole registry: every model, on each of its tiny cases, in every clause that applies."""

import pytest

from fairway.models.registry import MODELS, models
from fairway.testing import applicable
from fairway.testing.contract import case_name


def _clauses():
    """One parameter set per model, case and clause; a model that cannot be imported or built is one failing test."""
    for name in MODELS:
        try:
            model_class = models[name]
            cases = {case_name(case): case for case in model_class.tiny}
            found = [(key, case, check) for key, case in cases.items() for check in applicable(model_class, case)]
        except Exception as error:
            yield pytest.param(None, None, error, id=f"{name}-builds")
            continue
        assert len(cases) == len(model_class.tiny) > 0, f"{name}: expected cases of distinct kinds and shapes"
        yield from (
            pytest.param(model_class, case, check, id=f"{name}-{key}-{check.name}") for key, case, check in found
        )


@pytest.mark.parametrize(("model_class", "case", "check"), list(_clauses()))
def test_clause(model_class, case, check):
    if isinstance(check, Exception):
        raise check
    check(model_class, case)


@pytest.mark.parametrize("name", list(MODELS))
def test_cases_cover_what_the_model_claims(name):
    cls = models[name]
    events = [case.event for case in cls.tiny]
    pictures = all(event.image for event in events)  # of a model of images alone
    assert pictures or any(len(event.shape) == 1 for event in events), "expected a table among the cases"
    assert any(event.image for event in events), "expected an image among the cases"
    assert bool(cls.accepts_context) == any(case.context_event is not None for case in cls.tiny)
    clauses = {check.name for case in cls.tiny for check in applicable(cls, case)}
    if "log_prob_takes_any_leading_dims" in clauses:
        assert clauses & {"density_integrates_to_one", "probabilities_sum_to_one"}, (
            "expected a case small enough to sum"
        )
