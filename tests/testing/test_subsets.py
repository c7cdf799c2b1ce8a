"""Marginals and completions, on counted entries and with gaps; mistakes in either are found out."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.models.classical.gaussian import Gaussian
from fairway.models.classical.histogram import Independent
from fairway.testing import ContractError, subsets
from fairway.testing.subject import build

CASES = [
    (Gaussian, Case(Event((2,)))),
    (Gaussian, Case(Event((2,), missing=True))),
    (Gaussian, Case(Event((2,), "positive"))),
    (Independent, Case(Event((3,), "category", levels=3))),
]
HELD = [(cls, case, check) for cls, case in CASES for check in subsets.CHECKS if check.applies(build(cls, case))]


@pytest.mark.parametrize(("cls", "case", "check"), HELD, ids=lambda value: getattr(value, "name", "") if value else "")
def test_honest_models_pass(cls, case, check):
    check(cls, case)


class Joint(Gaussian):
    """Takes the joint for the marginal."""

    def _log_marginal(self, u, observed, context=None):
        return self._log_prob(u, context)


class Loaded(Independent):
    """Completes every entry with level 0."""

    def _complete(self, u, observed, context, rows):
        return torch.where(observed, u, super()._complete(u, observed, context, rows) * 0)


@pytest.mark.parametrize(
    ("cls", "case", "check"),
    [
        (Joint, CASES[0][1], subsets.marginal_of_all_and_of_none),
        (Joint, CASES[0][1], subsets.marginal_integrates_the_joint),
        (Loaded, CASES[3][1], subsets.completions_follow_the_conditional_probability),
    ],
    ids=["none", "integral", "completions"],
)
def test_mistakes_are_found_out(cls, case, check):
    with pytest.raises(ContractError, match=check.name):
        check(cls, case)
