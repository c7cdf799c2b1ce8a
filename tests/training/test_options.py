"""Every option finds its owner, or an error names the near ones."""

import numpy as np
import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Objective
from fairway.models.classical.mixture import GMM
from fairway.models.flow.real_nvp import RealNVP
from fairway.objectives.em import EM
from fairway.objectives.mle import MLE
from fairway.training.fit import fit
from fairway.training.options import Options, build_learner, build_model, refuse_ambiguous

EVENT = Event((2,))


class Wide(MLE):
    """An objective that shares an option's name with real_nvp."""

    def __init__(self, hidden: int = 1, beta: float = 1.0) -> None:
        super().__init__()
        self.hidden, self.beta = hidden, beta


def test_the_constructor_takes_its_own_and_leaves_the_rest():
    model, left = build_model("gmm", EVENT, None, {"components": 3, "iterations": 7})
    assert isinstance(model, GMM) and model.components == 3
    assert left == {"iterations": 7}
    learner = build_learner(model, None, left)
    assert isinstance(learner, EM) and learner.iterations == 7


def test_a_prefix_says_objective():
    model = GMM(EVENT, components=2)
    assert build_learner(model, None, {"objective.prior": 0.5}).prior == 0.5


def test_options_change_a_given_objective_and_keep_the_rest():
    learner = build_learner(RealNVP(EVENT), Wide(hidden=3), {"beta": 2.0})
    assert (learner.hidden, learner.beta) == (3, 2.0)


def test_an_objective_by_name_or_as_it_is():
    given = MLE()
    assert build_learner(RealNVP(EVENT), given, {}) is given
    assert isinstance(build_learner(RealNVP(EVENT), "mle", {}), MLE)


def test_an_option_of_both_must_say_which():
    model = RealNVP(EVENT)
    with pytest.raises(ValueError, match=r"both real_nvp and its Wide take 'hidden': say objective\.hidden"):
        refuse_ambiguous(model, Wide(), {"hidden": 3})
    refuse_ambiguous(model, Wide(), {"objective.hidden": 3})
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"say objective\.hidden"):
        fit("real_nvp", x, objective=Wide(), hidden=(4,), steps=1)


@pytest.mark.parametrize("typed", ["component", "iteration", "objective.prio"])
def test_near_names_are_offered(typed):
    near = {"component": "components", "iteration": "iterations", "objective.prio": "prior"}[typed]
    with pytest.raises(ValueError, match=f"has an option '{typed}'; did you mean '{near}'"):
        build_learner(GMM(EVENT), None, {typed: 1})


def test_a_built_model_takes_no_constructor_options():
    with pytest.raises(ValueError, match="gmm is built already: give 'components' to its constructor"):
        build_learner(GMM(EVENT), None, {"components": 1})


def test_the_event_comes_with_the_data():
    with pytest.raises(ValueError, match="event comes with the data"):
        build_model("gmm", EVENT, None, {"event": EVENT})


def test_unknown_models_objectives_and_other_things():
    with pytest.raises(ValueError, match="no model named 'real_nvq'; did you mean 'real_nvp'"):
        build_model("real_nvq", EVENT, None, {})
    with pytest.raises(ValueError, match=r"no model named 'os\.system'"):
        build_model("os.system", EVENT, None, {})
    with pytest.raises(ValueError, match="no objective named 'mlee'; did you mean 'mle'"):
        build_learner(GMM(EVENT), "mlee", {})
    with pytest.raises(ValueError, match="expected objective as a name, an objective or a solver, got int"):
        build_learner(GMM(EVENT), 3, {})
    assert issubclass(Wide, Objective)


def test_options_are_told_apart():
    own, left = Options.take({"steps": np.int64(3), "seed": np.int32(2), "hidden": (4,)})
    assert (own.steps, own.seed, own.seconds) == (3, 2, None) and left == {"hidden": (4,)}
    assert Options(budget="2m").seconds == 120
    assert Options().folder is None and Options(out="runs/a").folder.name == "a"
