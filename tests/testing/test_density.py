"""Densities: what applies where, and a mistake in each direction that only one clause can see."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.models.classical.gaussian import Gaussian
from fairway.testing import ContractError, density
from fairway.testing.subject import build, subject

CASE = Case(Event((2,)))


def _with(**hooks):
    return type("Changed", (Gaussian,), hooks)


@pytest.mark.parametrize("check", [c for c in density.CHECKS if c.applies(build(Gaussian, CASE))], ids=lambda c: c.name)
def test_an_honest_model_passes(check):
    check(Gaussian, CASE)


def test_larger_events_are_held_to_steins_identity():
    case = Case(Event((5,)))
    assert density.samples_obey_stein.applies(build(Gaussian, case))
    assert not density.samples_match_the_density.applies(build(Gaussian, case))
    density.samples_obey_stein(Gaussian, case)
    hot = _with(_sample=lambda self, n, c, rows: 1.2 * Gaussian._sample(self, n, c, rows))
    with pytest.raises(ContractError, match="expected -5"):
        density.samples_obey_stein(hot, case)


def test_a_grid_is_measured_once():
    s = subject("redrawn", Gaussian, CASE)
    assert density.mass(s) is density.mass(s) and density.mass(s).total == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("hooks", "check", "says"),
    [
        (
            {"_log_prob": lambda s, u, c=None: Gaussian._log_prob(s, u, c) + 0.02},
            density.density_integrates_to_one,
            "1.02",
        ),
        (
            {"_sample": lambda s, n, c, rows: Gaussian._sample(s, n, c, rows) + 0.2},
            density.samples_match_the_density,
            "Pearson",
        ),
        (
            {"_log_unnorm": lambda s, u, c=None: 0.9 * Gaussian._log_prob(s, u, c)},
            density.energy_is_one_number_per_row,
            "varies",
        ),
        (
            {"_log_prob": lambda s, u, c=None: Gaussian._log_prob(s, u.detach(), c) + 0 * u.sum(1)},
            density.log_prob_is_differentiable,
            "differences",
        ),
        (
            {"_log_prob": lambda s, u, c=None: torch.where(u[:, 0] > 0, torch.nan, Gaussian._log_prob(s, u, c))},
            density.log_prob_takes_any_leading_dims,
            "not finite",
        ),
    ],
    ids=["mass", "shifted", "tempered energy", "detached", "not finite"],
)
def test_mistakes_are_found_out(hooks, check, says):
    with pytest.raises(ContractError, match=says):
        check(_with(**hooks), CASE)
