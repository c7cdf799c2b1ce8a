"""Two pictures of why adversaries are played as they are: slopes of the generator's loss, and rules of a game.

Left: in the logit a of a fake, the slope of log(1 - sigma(a)) (minimax) is -sigma(a), which vanishes where the critic
is sure, a -> -inf; that of -log sigma(a) (non-saturating) is sigma(a) - 1, which goes to -1. The losses are the
library's, their slopes autograd's, and both are compared with the formula.

Right: the distance from the equilibrium of min_x max_y x y under the library's three rules, steps of 0.1: out by
sqrt(1 + h^2) a step, round and round, in by sqrt(1 - h^2 + h^4).

Writes benchmarks/results/adversary_slopes.json and docs/pictures/adversary_slopes.png; exits 1 where a curve is not the
formula's.

    python benchmarks/adversary_slopes.py        seconds
"""

import math
import sys
import time
from pathlib import Path

import _record
import matplotlib.pyplot as plt
import torch
from torch import Tensor

from fairway.objectives.critic_losses import DIVERGENCES
from fairway.training.rules import RULES

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "adversary_slopes.png"
RATE, STEPS, EXACT = 0.1, 300, 1e-9


def slope(divergence: str, logit: Tensor) -> Tensor:
    """Of the generator's loss in a fake's logit, row by row."""
    a = logit.clone().requires_grad_()
    (found,) = torch.autograd.grad(DIVERGENCES[divergence].generator(a, a.detach()).sum(), a)
    return found


class Player:
    """One side of min_x max_y x y, by plain gradient steps."""

    def __init__(self, own: Tensor, other: Tensor, sign: float) -> None:
        self.parameters, self.other, self.sign = [own], other, sign

    def gradients(self) -> None:
        """Of x y in this side's own number."""
        self.slope = self.sign * self.other.clone()

    def step(self) -> None:
        """Down."""
        self.parameters[0] -= RATE * self.slope


def radii(rule: str) -> list[float]:
    """Distance from (0, 0) after every step from (1, 0)."""
    x, y = torch.tensor(1.0).double(), torch.tensor(0.0).double()
    players, found = [Player(y, x, -1.0), Player(x, y, 1.0)], [1.0]
    for _ in range(STEPS):
        RULES[rule](iter(players))
        found.append(math.hypot(float(x), float(y)))
    return found


def picture(logit: Tensor, slopes: dict[str, Tensor], games: dict[str, list[float]]) -> None:
    """Both."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), dpi=100)
    for name, values in slopes.items():
        axes[0].plot(logit, values, label=name.replace("_", "-"))
    axes[0].set(xlabel="the critic's logit a of a fake", ylabel="slope of the generator's loss")
    axes[0].annotate("the critic is sure:\nonly one still teaches", (-7.6, -0.42), fontsize=8)
    for name, distance in games.items():
        axes[1].semilogy(distance, label=name)
    axes[1].set(xlabel="step", ylabel="distance from the equilibrium of x y")
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE)


def main() -> int:
    """Compute, compare, draw."""
    began = time.perf_counter()
    logit = torch.linspace(-8, 8, 161, dtype=torch.float64)
    slopes = {name: slope(name, logit) for name in ("minimax", "non_saturating")}
    known = {"minimax": -logit.sigmoid(), "non_saturating": logit.sigmoid() - 1}
    games = {rule: radii(rule) for rule in RULES}
    factors = {"simultaneous": math.sqrt(1 + RATE**2), "extragradient": math.sqrt(1 - RATE**2 + RATE**4)}
    off = {name: float((slopes[name] - known[name]).abs().max()) for name in slopes}
    off |= {rule: abs(games[rule][-1] / factor**STEPS - 1) for rule, factor in factors.items()}
    off["alternating"] = max(abs(distance - 1) for distance in games["alternating"])
    at = {
        name: {str(a): round(float(slope(name, torch.tensor([a]).double())), 6) for a in (-8.0, 0.0, 8.0)}
        for name in slopes
    }
    print(off, at)
    picture(logit, slopes, games)
    _record.write("adversary_slopes", began, {"off": off, "slope_at": at, "rate": RATE, "steps": STEPS})
    return int(any(value > (RATE if name == "alternating" else EXACT) for name, value in off.items()))


if __name__ == "__main__":
    sys.exit(main())
