"""Draws that break their shape, range, dtype or gradient are found out."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.models.classical.gaussian import Gaussian
from fairway.testing import ContractError, drawing
from fairway.testing.subject import subject

CASE = Case(Event((2,)))


def _with_sample(change):
    return type(
        "Changed", (Gaussian,), {"_sample": lambda self, n, c, rows: change(Gaussian._sample(self, n, c, rows))}
    )


@pytest.mark.parametrize("check", drawing.CHECKS[:3], ids=lambda check: check.name)
def test_an_honest_model_passes(check):
    check(Gaussian, CASE)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda u: u[:-1], "got samples of shape"),
        (lambda u: u * torch.inf, "not finite"),
        (lambda u: u[:1].expand_as(u), "all samples are the same"),
    ],
)
def test_samples_that_do_not_fit_are_found_out(change, says):
    with pytest.raises(ContractError, match=says):
        drawing.samples_fit_the_event(_with_sample(change), CASE)


def test_counted_draws_must_agree_exactly_and_real_ones_to_rounding():
    real = subject("redrawn", Gaussian, CASE)
    x = real.sample(3)
    drawing.agree(real, x * (1 + 1e-9), x, "rounding")
    with pytest.raises(ContractError):
        drawing.agree(real, x * 1.001, x, "more")
    counted = subject("redrawn", Gaussian, Case(Event((2,), "integer", low=0, high=9)))
    with pytest.raises(ContractError):
        drawing.agree(counted, torch.tensor([1, 2]), torch.tensor([1, 3]), "levels")
