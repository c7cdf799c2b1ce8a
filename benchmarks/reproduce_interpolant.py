"""8 gaussians -> moons: a map between two sets of points, learned by flow matching with optimal transport in batches.

    source   5 c_k + sqrt(0.1) N(0, I), c_k the 8 points at multiples of 45 degrees on the unit circle, equal weights
    data     3 m - 1, m independent points on two half circles of radius 1 (equal weights, uniform angles, as
             `fairway.data.toy.moons`) plus N(0, 0.2^2 I)

torchcfm's examples take the same source; their moons lie on equal angles, equally many on each, and are blurred by one
uniform number in [0, 0.2) added to both coordinates. Points drawn independently are the harder and the honest case.

Both are drawn once for training, 200,000 of each, and afresh for judging, 2,048 of each, 8 times. Learned in data
units, so that lengths mean the same in both directions. Figures are means over the 8 draws:

    W2         exact (network simplex) between 2,048 pushed points and 2,048 moons, in data units
    floor      the same between two draws of the moons: what no model can be expected to fall below
    energy     E int |v(u_t, t)|^2 dt of the paths over the optimum, W2^2 between the draws of the source and the data

Goals, after 60 seconds of one processor: W2 <= 0.22 or 1.05 floors and energy <= 1.03 optima at 100 strokes of Euler's
rule, W2 <= 0.3 (or 1.05 floors) at 4. Independent pairs, with the same network and steps, are there for comparison.

Writes benchmarks/results/interpolant.json and docs/pictures/interpolant.png; exits 1 if a goal is missed.

    python benchmarks/reproduce_interpolant.py        about 4 minutes on one core
"""

import argparse
import math
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

import _record
import torch
from _rows import Clock
from torch import Tensor, nn

import fairway as fw
from fairway.core.random import seeded
from fairway.data.toy import moons
from fairway.metrics.divergence import wasserstein
from fairway.networks.mlp import MLP
from fairway.objectives.couplings import Coupling, Independent, OptimalTransport
from fairway.objectives.interpolation import Interpolation
from fairway.samplers.ode import ProbabilityFlow

torch.set_num_threads(1)
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "interpolant.png"
TRAIN, JUDGE, DRAWS, SEED = 200_000, 2_048, 8, 0
STROKES, BUDGET = (100, 8, 4, 2, 1), 60.0
STEPS, BATCH, BLOCK, LR, HIDDEN = 10_500, 256, 128, 3e-3, (128, 128, 128)
COUPLINGS: dict[str, Coupling] = {"optimal_transport": OptimalTransport(BLOCK), "independent": Independent()}


class Perceptron(nn.Module):
    """(u, t) -> velocity by one perceptron: two coordinates and a time need no more."""

    def __init__(self) -> None:
        super().__init__()
        self.network = MLP(3, 2, HIDDEN, act="silu")

    def forward(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """u (B, 2), t (B,) -> (B, 2)."""
        out: Tensor = self.network(torch.cat([u, t.unsqueeze(1)], 1))
        return out


def eight_gaussians(n: int, seed: int) -> Tensor:
    """(n, 2)."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.randint(8, (n,), generator=generator) * (math.pi / 4)
    noise = torch.randn(n, 2, generator=generator)
    return 5 * torch.stack([angle.cos(), angle.sin()], 1) + math.sqrt(0.1) * noise


def two_moons(n: int, seed: int) -> Tensor:
    """(n, 2)."""
    return 3 * moons(n, seed, noise=0.2).x - 1


def learn(coupling: Coupling, steps: int) -> tuple[fw.Model, dict[str, float]]:
    """A fitted model, and the seconds that its training took."""
    source, data, clock = eight_gaussians(TRAIN, SEED + 1), two_moons(TRAIN, SEED + 2), Clock()
    with seeded(SEED):
        network = Perceptron()
    model = fw.fit(
        "interpolant", data, source=source, bandwidth=0.01, network=network, preprocess=False,
        objective=Interpolation("uniform", coupling), validation=0, steps=steps, batch_size=BATCH, lr=LR, seed=SEED,
    )  # fmt: skip
    return model, clock.read()


def pushed(model: Any, source: Tensor, strokes: int) -> tuple[Tensor, float]:
    """The ends of the paths that start at the source, and E int |v|^2 dt; model units are data units here."""
    draws = model.draw(len(source), init=source, sampler=ProbabilityFlow(strokes, "euler"), trace=True)
    moves = draws.trace.diff(dim=0)
    return draws.samples, float(moves.square().sum(2).mean() * strokes**2)


def judged(model: Any) -> list[dict[str, float]]:
    """A row per number of strokes: means over the draws."""
    rows = []
    for strokes in STROKES:
        found = []
        for k in range(DRAWS):
            end, energy = pushed(model, eight_gaussians(JUDGE, 100 + k), strokes)
            found.append((wasserstein(end, two_moons(JUDGE, 200 + k), order=2).value, energy / optimum(k)))
        rows.append({"strokes": strokes, "w2": mean(f[0] for f in found), "energy": mean(f[1] for f in found)})
    return rows


def optimum(k: int) -> float:
    """W2^2 between the k-th draws of the source and of the data."""
    if k not in _optima:
        _optima[k] = wasserstein(eight_gaussians(JUDGE, 100 + k), two_moons(JUDGE, 200 + k), order=2).value ** 2
    return _optima[k]


_optima: dict[int, float] = {}


def floor() -> float:
    """W2 between two draws of the moons, mean."""
    return mean(wasserstein(two_moons(JUDGE, 300 + k), two_moons(JUDGE, 200 + k), order=2).value for k in range(DRAWS))


def draw_picture(model: Any) -> None:
    """Source, paths and ends, under optimal transport."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 4), sharex=True, sharey=True)
    source = eight_gaussians(JUDGE, 100)
    for axis, strokes, title in ((axes[0], 100, "paths, 100 strokes"), (axes[1], 4, "ends, 4 strokes")):
        draws = model.draw(len(source), init=source, sampler=ProbabilityFlow(strokes, "euler"), trace=True)
        if strokes == 100:
            for line in draws.trace[:, :250].transpose(0, 1):
                axis.plot(line[:, 0], line[:, 1], color="0.6", linewidth=0.3)
            axis.scatter(*source.T, s=1, color="C1")
        axis.scatter(*draws.samples.T, s=1, color="C0")
        axis.set_title(title)
    axes[2].scatter(*two_moons(JUDGE, 200).T, s=1, color="k")
    axes[2].set_title("data")
    for axis in axes:
        axis.set_aspect("equal")
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=80)


def missed(rows: list[dict[str, float]], least: float, seconds: float) -> list[str]:
    """The goals that the rows of optimal transport do not reach."""
    at = {row["strokes"]: row for row in rows}
    goals = {
        f"training within {BUDGET:.0f} CPU seconds": seconds <= BUDGET,
        "W2 at 100 strokes": at[100]["w2"] <= max(0.22, 1.05 * least),
        "energy at 100 strokes": at[100]["energy"] <= 1.03,
        "W2 at 4 strokes": at[4]["w2"] <= max(0.3, 1.05 * least),
    }
    return [name for name, reached in goals.items() if not reached]


def main() -> int:
    """Learn, push, judge, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    steps = parser.parse_args().steps
    began, least, results, failures = time.perf_counter(), floor(), {}, []
    print(f"floor {least:.3f}; optimum {mean(optimum(k) for k in range(DRAWS)):.3f}", flush=True)
    for name, coupling in COUPLINGS.items():
        model, seconds = learn(coupling, steps)
        rows = judged(model)
        results[name] = {**seconds, "rows": rows}
        print(f"{name}: {seconds['cpu_seconds']:.0f} CPU s")
        for row in rows:
            print(f"  {row['strokes']:>4} strokes: W2 {row['w2']:.3f}, energy {row['energy']:.3f} optima", flush=True)
        if name == "optimal_transport":
            failures = missed(rows, least, seconds["cpu_seconds"])
            draw_picture(model)
    numbers = {"floor": least, "optimum": mean(optimum(k) for k in range(DRAWS)), "couplings": results}
    settings = {
        "steps": steps,
        "batch_size": BATCH,
        "block": BLOCK,
        "lr": LR,
        "hidden": HIDDEN,
        "judged": JUDGE,
        "draws": DRAWS,
    }
    _record.write("interpolant", began, {**numbers, **settings, "seed": SEED})
    print("missed: " + ", ".join(failures) if failures else "all goals reached")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
