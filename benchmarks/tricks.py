"""What the tricks of GAN training do, one at a time: the game of 2014 on a ring of 8 Gaussians, three seeds.

    none                     `gan` as it comes: standardised data, non-saturating loss, averaged generator
    units of the data        the same without preprocessing, the ring ten times as wide: inputs not in [-1, 1]
    label smoothing          real rows are to be told with probability 0.9
    batch norm, apart        a critic that norms over the batch, real and fake rows apart
    batch norm, together     the same on real and fake rows at once
    instance noise           N(0, 0.2^2) on what the critic is shown, gone after half of the steps
    feature matching         the generator meets the mean of the critic's features
    minibatch discrimination rows of a batch are compared
    zero-centred penalty     R1 + R2 of weight 0.1

Salimans et al. 2016, Improved techniques for training GANs; Sonderby et al. 2017 (instance noise); Radford et al. 2016.
The numbers are those of `benchmarks/modes.py`, on 2,500 draws. All fits have as many steps.

Writes benchmarks/results/tricks.json. Killed and started again, it goes on.

    python benchmarks/tricks.py        about ten minutes on one core
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from _rows import Row, Rows
from modes import numbers
from torch import Tensor, nn

import fairway as fw
from fairway.core.random import seeded
from fairway.data.toy import ring, ring_centres
from fairway.metrics.modes import mode_metrics
from fairway.networks.minibatch import MinibatchDiscrimination
from fairway.objectives.adversarial import Adversarial
from fairway.objectives.feature_matching import FeatureMatching
from fairway.objectives.views import InstanceNoise

STEPS, ROWS, DRAWS, SEEDS, WIDE, STD = 8000, 50_000, 2500, (0, 1, 2), 10.0, 0.02


class Critic(nn.Module):
    """(u, context) -> (B,): the default's three layers of 128, with a part of another kind behind some of them.

    Args:
        between: a width -> a module, behind every layer. last: a width -> a module and its width, behind the last one.
    """

    def __init__(
        self,
        between: Callable[[int], nn.Module] | None = None,
        last: Callable[[int], tuple[nn.Module, int]] | None = None,
    ) -> None:
        super().__init__()
        layers, width = list[nn.Module](), 2
        for _ in range(3):
            layers += [nn.Linear(width, 128), *([between(128)] if between else []), nn.LeakyReLU()]
            width = 128
        if last:
            part, width = last(width)
            layers.append(part)
        self.network = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.network(u).squeeze(1)
        return out


class Together(Adversarial):
    """Real and fake rows pass the critic at once, whatever is inside."""

    _together = True  # type: ignore[assignment]


def game(divergence: str = "non_saturating", penalty: str = "none", kind: Any = Adversarial, **options: Any) -> Any:
    """The game of 2014 with one change."""
    return kind(divergence, penalty, critic_steps=1, **options)


def discriminating(width: int) -> tuple[nn.Module, int]:
    """Minibatch discrimination, and its width."""
    return MinibatchDiscrimination(width), width + 16


TRICKS: dict[str, Callable[[], Any]] = {
    "none": game,
    "units of the data": game,
    "label smoothing": lambda: game("smoothed"),
    "batch norm, apart": lambda: game(critic=Critic(nn.BatchNorm1d)),
    "batch norm, together": lambda: game(kind=Together, critic=Critic(nn.BatchNorm1d)),
    "instance noise": lambda: game(views=(InstanceNoise(0.2, fade=STEPS // 2),)),
    "feature matching": lambda: game(kind=FeatureMatching),
    "minibatch discrimination": lambda: game(critic=Critic(last=discriminating)),
    "zero-centred penalty": lambda: game(penalty="r1_r2", weight=0.1),
}


def row(trick: str, seed: int, steps: int) -> Row:
    """One fit."""
    units = WIDE if trick == "units of the data" else 1.0
    x, began = units * ring(ROWS, seed=seed).x, time.process_time()
    with seeded(seed):
        objective = TRICKS[trick]()
    options: dict[str, Any] = {"preprocess": False} if units != 1.0 else {}
    model = fw.fit("gan", x, objective=objective, steps=steps, seed=seed, log_every=500, **options)
    seconds = round(time.process_time() - began, 1)
    draws = model.sample(DRAWS, generator=seed).double() / units
    found = numbers(mode_metrics(draws, ring_centres(), STD))
    return {"trick": trick, "seed": seed, "steps": steps, "cpu_seconds": seconds, **found}


def main() -> int:
    """Fit what is missing, write, print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--steps", type=int, default=None, help="of each fit, for a taste that is not recorded")
    asked = options.parse_args()
    torch.set_num_threads(1)
    rows = Rows("tricks", ("trick", "seed"), asked.steps is None)
    for seed in SEEDS:
        for trick in TRICKS:
            if not rows.has(trick=trick, seed=seed):
                made = row(trick, seed, asked.steps or STEPS)
                print(made, flush=True)
                rows.put(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
