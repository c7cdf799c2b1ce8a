"""Every line of the table leads to an objective or a solver that is built without arguments and survives JSON."""

import json

import pytest

from fairway.core.config import from_json, to_json
from fairway.core.objective import Objective, Solver
from fairway.objectives.registry import OBJECTIVES, objectives


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_every_line_leads_to_a_learner_of_that_name(name):
    learner = objectives[name]()
    assert isinstance(learner, Objective | Solver) and learner.name() == name
    assert to_json(from_json(json.loads(json.dumps(to_json(learner))))) == to_json(learner)
