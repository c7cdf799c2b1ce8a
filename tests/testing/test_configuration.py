"""What a model is made of: constructors that do more than their signature says are found out."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.registry import models
from fairway.testing import ContractError, configuration
from fairway.testing.subject import subject

CASE = Case(Event((2,)), None, {"transforms": 1, "hidden": (4,)})


class Plain(RealNVP):
    """RealNVP under a name of its own."""

    cites = ("nobody2000",)


class Random(Plain):
    """Builds something that no argument names."""

    sizes = iter(range(3, 99))

    def __init__(self, event, context_event=None, *, transforms=1, hidden=(4,)):
        super().__init__(event, context_event, transforms=transforms, hidden=hidden)
        self.extra = torch.nn.Parameter(torch.zeros(next(self.sizes)))


class Hidden(Plain):
    """State outside parameters and buffers: neither saved nor loaded."""

    def __init__(self, event, context_event=None, *, transforms=1, hidden=(4,)):
        super().__init__(event, context_event, transforms=transforms, hidden=hidden)
        self.shift = torch.randn(())

    def _sample(self, n, context, rows):
        return super()._sample(n, context, rows) + self.shift


class Greedy(Plain):
    """Claims a kind that it cannot take."""

    accepts = (*Plain.accepts, "tokens")

    def __init__(self, event, context_event=None, *, transforms=1, hidden=(4,)):
        if event.kind == "tokens":
            raise RuntimeError("no tokens, sorry")
        super().__init__(event, context_event, transforms=transforms, hidden=hidden)


class Shadowing(Plain):
    """An option that fit keeps for itself, so that nobody could set it by name."""

    def __init__(self, event, context_event=None, *, transforms=1, hidden=(4,), steps=10):
        super().__init__(event, context_event, transforms=transforms, hidden=hidden)


class Anonymous(Plain):
    cites = ()


class Silent(Plain):
    """Answers, whatever the shape."""

    def _checked(self, x, event=None, missing=False):
        return torch.zeros(3, 2, dtype=torch.float64)


@pytest.mark.parametrize("check", configuration.CHECKS, ids=lambda check: check.name)
def test_an_honest_model_passes(check):
    check(Plain, CASE)


@pytest.mark.parametrize(
    ("model", "check", "says"),
    [
        (Random, configuration.configuration_round_trip, "other parameters"),
        (Hidden, configuration.state_dict_round_trip, "after load_state_dict"),
        (Hidden, configuration.save_and_load_round_trip, "after save and load"),
        (Shadowing, configuration.options_are_not_the_fits, "takes for itself: steps"),
        (Anonymous, configuration.names_its_sources_and_cases, "cites"),
        (Silent, configuration.refuses_wrong_input, "got an answer"),
    ],
    ids=lambda value: getattr(value, "__name__", getattr(value, "name", "")),
)
def test_others_are_found_out(model, check, says):
    with pytest.raises(ContractError, match=says):
        check(model, CASE)


def test_a_kind_it_claims_and_cannot_take_shows():
    with pytest.raises(RuntimeError, match="no tokens"):
        configuration.takes_every_kind_it_accepts(Greedy, CASE)


def test_a_lent_name_is_taken_back():
    before = list(models)
    with configuration.named(Plain):
        assert models.name_of(Plain) == "contract_Plain"
    with configuration.named(RealNVP):
        assert models.name_of(RealNVP) == "real_nvp"
    assert models.name_of(Plain) is None and list(models) == before


@pytest.mark.parametrize(
    ("raises", "says"),
    [
        (TypeError("x"), "expected a ValueError, got TypeError"),
        (ValueError("y"), "'expected'"),
        (None, "got an answer"),
    ],
)
def test_the_right_error_with_the_right_words(raises, says):
    def act():
        if raises:
            raise raises

    with pytest.raises(ContractError, match=says):
        configuration.expect_error(ValueError, "expected", "when", act)


def test_fingerprints_see_samples_and_densities():
    s = subject("redrawn", Plain, CASE)
    assert len(configuration.fingerprint(s, s.model)) == 4 * 2 + 8 + 8
