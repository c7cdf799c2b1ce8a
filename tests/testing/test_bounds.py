"""Bounds that exceed what they bound are found out; densities are not asked twice."""

import pytest

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.models.classical.gaussian import Gaussian
from fairway.testing import ContractError, bounds
from fairway.testing.subject import build

COUNTED = Case(Event((2,), "integer", low=0, high=5))


class Inflated(Gaussian):
    def _log_prob(self, u, context=None):
        return super()._log_prob(u, context) + 1.0


@pytest.mark.parametrize(
    "check", [c for c in bounds.CHECKS if c.applies(build(Gaussian, COUNTED))], ids=lambda c: c.name
)
def test_an_honest_model_passes(check):
    check(Gaussian, COUNTED)


def test_a_dequantised_density_with_too_much_mass_is_found_out():
    with pytest.raises(ContractError, match="more than one"):
        bounds.bound_has_a_mass_of_at_most_one(Inflated, COUNTED)


def test_an_exact_density_is_not_integrated_twice():
    assert not bounds.bound_has_a_mass_of_at_most_one.applies(build(Gaussian, Case(Event((2,)))))
