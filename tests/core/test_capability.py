"""The ladder of capabilities derives each hook from the rung above, and two answers to one question are refused."""

import pytest
import torch

from fairway.core.capability import (
    CAPABILITIES,
    Capability,
    HasDenoiser,
    HasEnergy,
    HasLogProb,
    HasScore,
    HasVelocity,
    refuse_two_answers,
)
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.numerics import standard_normal_log_prob


class Quartic(HasEnergy):
    """log p = -sum u^4 + constant."""

    def _log_unnorm(self, u, context=None):
        return -(u**4).sum(1)


class Wide(HasLogProb):
    """N(0, 4 I)."""

    def _log_prob(self, u, context=None):
        return standard_normal_log_prob(u / 2) - u.shape[1] * torch.tensor(2.0).log()


class Spring(HasVelocity):
    """v = -u: noise N(0, I) at t = 1 is N(0, e^2 I) at t = 0."""

    def _velocity(self, u, t, context=None):
        return -u

    def _log_prior(self, u):
        return standard_normal_log_prob(u)


def _points():
    return torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_an_energy_has_a_score():
    u = _points()
    assert torch.allclose(Quartic()._score(u), -4 * u**3)


def test_a_density_is_an_energy_and_has_a_score():
    u = _points()
    assert torch.equal(Wide()._log_unnorm(u), Wide()._log_prob(u))
    with torch.no_grad():  # a score needs a gradient whatever the mode outside
        score = Wide()._score(u)
    assert torch.allclose(score, -u / 4) and not score.requires_grad


def test_a_score_carries_a_gradient_only_to_who_asks():
    u = _points().requires_grad_()
    (hessian,) = torch.autograd.grad(Quartic()._score(u).sum(), u)
    assert torch.allclose(hessian, -12 * u**2)


def test_a_velocity_has_a_density():
    u = _points()
    expected = standard_normal_log_prob(u / torch.e) - 3.0
    assert torch.allclose(Spring()._log_prob(u), expected, atol=1e-6)


def test_the_ladder():
    assert issubclass(HasLogProb, HasEnergy) and issubclass(HasEnergy, HasScore)
    assert issubclass(HasDenoiser, HasVelocity) and issubclass(HasVelocity, HasLogProb)
    assert all(issubclass(c, Capability) and c.asks and c.hooks for c in CAPABILITIES)
    assert len({c.asks for c in CAPABILITIES}) == len(CAPABILITIES)


def test_two_bases_with_the_same_hook_are_refused():
    with pytest.raises(TypeError, match="gets _log_prob from both Wide and HasVelocity; define _log_prob in Torn"):

        class Torn(Wide, Spring, Model):
            pass


def test_the_class_may_choose():
    class Chosen(Wide, Spring, Model):
        def _log_prob(self, u, context=None):
            return Spring._log_prob(self, u, context)

    assert Chosen(Event((2,))).likelihood == "numerical"


def test_refining_a_rung_is_no_conflict():
    class Closed(HasLogProb):
        def _log_prob(self, u, context=None):
            return standard_normal_log_prob(u)

        def _score(self, u, context=None):
            return -u

    class Below(Closed, Model):
        def _score(self, u, context=None):
            return super()._score(u, context)

    refuse_two_answers(Below)
