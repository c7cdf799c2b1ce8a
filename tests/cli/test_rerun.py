"""An earlier run as the defaults of a new one."""

import json

import pytest

from fairway.cli.rerun import Before, before
from fairway.models.flow.real_nvp import RealNVP
from fairway.objectives.mle import MLE


def written(folder, config, data=None):
    (folder / "config.json").write_text(json.dumps(config))
    if data is not None:
        (folder / "data.json").write_text(json.dumps(data))
    return before(folder / "config.json")


def test_nothing_comes_before_a_first_run():
    first = before(None)
    assert first == Before() and first.model is first.objective is first.context is first.dtype is first.holdout is None
    assert (
        first.of_model(RealNVP, []) == first.of_objective(MLE, None) == first.of_fit(["seed"]) == {} == first.length()
    )
    with pytest.raises(ValueError, match="expected DATA"):
        first.source()


def test_a_run_by_its_file_or_its_folder(runs):
    then = before(runs / "flow" / "config.json")
    assert then == before(runs / "flow") and then.model == "real_nvp" and then.objective == "mle"
    assert then.holdout == 0.25 and then.context is None and then.dtype == "float32"
    assert then.of_model(RealNVP, [])["hidden"] == [4] and "event" not in then.of_model(RealNVP, [])
    assert then.of_fit(["seed", "none"]) == {"seed": 0}
    assert then.length()["steps"] == 4 and "budget" not in then.length()
    assert then.source().x.shape == (80, 2)
    assert before(runs / "made").context == "labels"


def test_the_objectives_options_are_those_of_the_same_objective(tmp_path):
    then = written(tmp_path, {"model": "real_nvp", "objective": {"objective": "em", "floor": 1e-3}})
    assert then.of_objective(MLE, "mle") == {} == then.of_objective(None, "em")
    with pytest.raises(ValueError, match="'em' has no option 'floor'"):
        then.of_objective(MLE, "em")


class Shadowed:
    """A model with an option that the fit has, too."""

    def __init__(self, event, context_event=None, *, steps=20):
        pass


def test_an_option_that_the_fit_shadows_is_not_lost_in_silence(tmp_path):
    """Its default passes, since no command line can say another; another value is refused."""
    assert written(tmp_path, {"model": "ebm", "arguments": {"steps": 20}}).of_model(Shadowed, ["steps"]) == {}
    with pytest.raises(ValueError, match="'steps' is also the fit's: only Python can build this model"):
        written(tmp_path, {"model": "ebm", "arguments": {"steps": 21}}).of_model(Shadowed, ["steps"])


def test_an_array_has_no_source(tmp_path):
    data = {"source": "array", "event": {"shape": [2]}, "options": {}}
    with pytest.raises(ValueError, match="does not say which"):
        written(tmp_path, {"model": "gmm"}, data).source()
    assert written(tmp_path, {"model": "gmm"}, data).holdout is None


def test_a_broken_record_is_said(tmp_path):
    with pytest.raises(ValueError, match="does not describe data"):
        written(tmp_path, {"model": "gmm"}, {"source": "moons"}).source()
