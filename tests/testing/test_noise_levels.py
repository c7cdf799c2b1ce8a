"""A denoiser whose answers contradict one another is found out."""

import pytest

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.models.classical.gaussian import Gaussian
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.testing import ContractError, noise_levels
from fairway.testing.subject import build

CASE = Case(Event((2,)), Event((), "category", levels=2), {"hidden": (8,), "schedule": "cosine"})


class WrongSign(FlowMatching):
    def _score_at(self, u, t, context=None):
        return -super()._score_at(u, t, context)


class Backwards(FlowMatching):
    def _velocity(self, u, t, context=None):
        return -super()._velocity(u, t, context)


class Blind(FlowMatching):
    def _denoise(self, u, t, context=None):
        return super()._denoise(u, t.mean().expand(len(t)), context)


@pytest.mark.parametrize("check", noise_levels.CHECKS, ids=lambda check: check.name)
def test_an_honest_model_passes(check):
    check(FlowMatching, CASE)


@pytest.mark.parametrize(
    ("model", "check"),
    [
        (WrongSign, noise_levels.score_is_tweedies),
        (Backwards, noise_levels.velocity_is_the_denoisers),
        (Blind, noise_levels.denoising_works_at_every_level),
    ],
    ids=["sign", "direction", "level"],
)
def test_contradictions_are_found_out(model, check):
    with pytest.raises(ContractError, match=check.name):
        check(model, CASE)


def test_other_models_are_not_asked():
    assert not noise_levels.denoises(build(Gaussian, Case(Event((2,)))))
