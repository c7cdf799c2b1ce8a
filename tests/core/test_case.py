"""A case is all a model needs to be built."""

from fairway.core.case import Case
from fairway.core.event import Event
from fairway.models.classical.mixture import GMM


def test_a_case_builds_its_model():
    case = Case(Event((3,)), None, {"components": 2})
    assert GMM(case.event, case.context_event, **case.arguments).sample(4, generator=0).shape == (4, 3)


def test_cases_do_not_share_their_arguments():
    one, two = Case(Event((1,))), Case(Event((1,)))
    one.arguments["components"] = 3
    assert two.arguments == {}
