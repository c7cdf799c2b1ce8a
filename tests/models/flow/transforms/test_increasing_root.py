"""Roots of increasing functions, to the last digits, from brackets of any width."""

import torch

from fairway.models.flow.transforms.increasing_root import increasing_root


def test_it_finds_the_root_where_newton_alone_would_leave():
    target = torch.tensor([-3.0, 0.0, 1e-3, 2.0, 1e3], dtype=torch.float64)

    def f(y):
        return 0.05 * y + torch.tanh(50 * y) - target, 0.05 + 50 * (1 - torch.tanh(50 * y).square())

    y = increasing_root(f, (target - 1) / 0.05, (target + 1) / 0.05)
    assert float((f(y)[0].abs() / (1 + target.abs())).max()) < 1e-13


def test_a_closed_bracket_is_the_root():
    y = increasing_root(lambda y: (y - 2, torch.ones_like(y)), torch.full((3,), 2.0), torch.full((3,), 2.0))
    assert y.tolist() == [2, 2, 2]


def test_what_is_not_finite_ends():
    bad = torch.full((2,), torch.nan)
    assert increasing_root(lambda y: (y, torch.ones_like(y)), bad, bad).isnan().all()
