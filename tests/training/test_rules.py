"""The game x y: who leaves the equilibrium, who goes round it, who arrives."""

import math

import pytest
import torch

from fairway.training.fit import fit
from fairway.training.rules import RULES

RATE = 0.1


class Player:
    """min_x max_y x y by plain gradient steps."""

    def __init__(self, own, other, sign):
        self.parameters, self.other, self.sign = [own], other, sign

    def gradients(self):
        self.slope = self.sign * self.other.detach().clone()

    def step(self):
        with torch.no_grad():
            self.parameters[0] -= RATE * self.slope


def radii(rule, steps=200):
    x, y = torch.tensor(1.0).double(), torch.tensor(0.0).double()
    players = [Player(y, x, -1.0), Player(x, y, 1.0)]
    found = []
    for _ in range(steps):
        RULES[rule](iter(players))
        found.append(math.hypot(x, y))
    return found


def test_simultaneous_steps_leave_by_a_known_factor():
    assert radii("simultaneous", 50)[-1] == pytest.approx((1 + RATE**2) ** 25, rel=1e-12)


def test_alternating_steps_go_round():
    found = radii("alternating", 2000)
    assert min(found) > 0.9 and max(found) < 1.1


def test_extragradient_steps_arrive_by_a_known_factor():
    assert radii("extragradient", 50)[-1] == pytest.approx((1 - RATE**2 + RATE**4) ** 25, rel=1e-12)
    assert radii("extragradient", 2000)[-1] < 1e-3


@pytest.mark.parametrize("rule", ["simultaneous", "extragradient"])
def test_a_fit_plays_by_the_rule(x, rule):
    options = {"hidden": (8,), "critic_hidden": (8,), "steps": 6, "seed": 0}
    turns, model = (fit("gan", x, **{"objective.rule": r}, **options) for r in ("alternating", rule))
    assert model.history.steps == 6
    assert any((a != b).any() for a, b in zip(turns.parameters(), model.parameters(), strict=True))
