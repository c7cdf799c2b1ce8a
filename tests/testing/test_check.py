"""A check names itself and where it failed; comparisons name the worst entry."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.models.classical.gaussian import Gaussian
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.testing.check import DENSITY_STEPS, ContractError, always, check, coarse, expect, expect_close

CASE = Case(Event((2,)))


def test_a_broken_clause_says_which_where_and_in_which_state():
    @check(states=("redrawn",))
    def samples_are_green(s):
        expect(s.sample(3).shape == (4, 2), "no green")

    assert samples_are_green.name == "samples_are_green" and samples_are_green.applies is always
    with pytest.raises(ContractError, match=r"samples_are_green: Gaussian on Event\(.*\), redrawn: no green"):
        samples_are_green(Gaussian, CASE)


def test_a_clause_runs_on_both_states():
    seen = []

    @check()
    def looks(s):
        seen.append(s.state)

    looks(Gaussian, CASE)
    assert seen == ["redrawn", "trained"]


@pytest.mark.parametrize(
    ("got", "wanted", "says"),
    [
        ([1.0, 2.0], [1.0, 2.5], "expected 2.5, got 2 at entry 1 of 2"),
        ([1.0, float("nan")], [1.0, 2.0], "expected 2, got nan at entry 1"),
        ([1.0], [1.0, 2.0], r"expected shape \(2,\), got \(1,\)"),
        ([float("inf")], [0.0], "got inf"),
    ],
)
def test_comparisons_name_the_worst_entry(got, wanted, says):
    with pytest.raises(ContractError, match=says):
        expect_close(torch.tensor(got), torch.tensor(wanted), "numbers")


def test_what_agrees_passes():
    expect_close(torch.tensor([1.0, float("-inf")]), torch.tensor([1.0 + 1e-12, float("-inf")]).double(), "numbers")
    expect(torch.tensor(True), "never")


def _steps(model_class):
    return model_class.density_steps, model_class.latent_steps


def test_coarse_solvers_are_given_back():
    before = _steps(FlowMatching)
    with pytest.raises(RuntimeError), coarse(FlowMatching):
        assert _steps(FlowMatching) == (DENSITY_STEPS, DENSITY_STEPS)
        raise RuntimeError
    assert _steps(FlowMatching) == before and "density_steps" not in FlowMatching.__dict__


def test_a_fine_clause_has_the_steps_that_users_get():
    seen = []
    for fine in (True, False):
        check(states=("redrawn",), fine=fine)(lambda s: seen.append(_steps(s.model)))(
            FlowMatching, FlowMatching.tiny[0]
        )
    assert seen == [_steps(FlowMatching), (DENSITY_STEPS, DENSITY_STEPS)]
