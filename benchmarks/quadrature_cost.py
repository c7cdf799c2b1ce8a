"""The price of log Z on a grid, against the dimension: as many points along every axis, so a power of them in all.

An energy in D dimensions, D = 1, ..., 4: two Gaussian humps at (+-1.5, 0, ...), widths 0.3, whose log Z is known.
Along each axis the trapezoid rule gets the fewest points, on [-6, 6], from which on log Z is within 1e-3 nats of the
truth; n^D are asked. Beside it annealed importance sampling (`fairway.metrics.log_normaliser`) at one setting, with a
standard error of 0.02 to 0.1 nats: less accurate, but its cost hardly depends on D. The values here cost next to
nothing; those of a network cost the more.

Writes benchmarks/results/quadrature_cost.json and docs/pictures/quadrature_cost.png; exits 1 if a grid misses its
accuracy, or the points do not grow by at least a factor of 10 with each dimension.

    OMP_NUM_THREADS=1 python benchmarks/quadrature_cost.py        a minute on one core
"""

import math
import sys
import time
from pathlib import Path

import _record
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch

from fairway.core.capability import HasEnergy
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.metrics.log_normaliser import grid_log_normaliser, log_normaliser
from fairway.samplers.ais import AIS
from fairway.samplers.hmc import HMC
from fairway.samplers.mcmc import MCMC

DIMS, REACH, ACCURACY, BLOCK = (1, 2, 3, 4), 6.0, 1e-3, 2**17
CENTRE, WIDTH, TEMPERATURES, CHAINS = 1.5, 0.3, 50, 400
STABLE = 4  # next odd numbers of points that must be as accurate, so that no luck counts
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "quadrature_cost.png"


class Humps(HasEnergy, Model):
    """log(exp(-|u - c|^2 / 2 s^2) + exp(-|u + c|^2 / 2 s^2)): log Z = log 2 + D log(s sqrt(2 pi))."""

    cites = ("neal2001ais",)

    def _log_unnorm(self, u: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        rest = u[:, 1:].square().sum(1)
        humps = torch.stack([-((u[:, 0] - sign * CENTRE).square() + rest) / (2 * WIDTH**2) for sign in (1, -1)])
        return humps.logsumexp(0)


def humps(dims: int) -> Humps:
    """The energy model, float64."""
    model: Humps = Humps(Event((dims,))).double().eval()  # type: ignore[assignment]
    return model


def truth(dims: int) -> float:
    """log Z, nats."""
    return math.log(2) + dims * math.log(WIDTH * math.sqrt(2 * math.pi))


@torch.no_grad()
def on_grid(model: Humps, points: int) -> float:
    """log Z by the trapezoid rule in any dimension, block by block; the library's stops at three."""
    dims = model.event.dims
    if dims <= 3:
        return grid_log_normaliser(model, reach=REACH, points=points).value
    axis = torch.linspace(-REACH, REACH, points, dtype=torch.float64)
    total, width = [], 2 * REACH / (points - 1)
    for start in range(0, points**dims, BLOCK):
        index = torch.arange(start, min(start + BLOCK, points**dims))
        nodes = torch.stack([axis[index // points**d % points] for d in range(dims)], 1)
        total.append(model._log_unnorm(nodes).logsumexp(0))  # the density is 0 at the ends, which count half
    return float(torch.stack(total).logsumexp(0)) + dims * math.log(width)


def cheapest_grid(dims: int) -> dict[str, float]:
    """The fewest points along an axis that are accurate enough, and what they cost."""
    model, points, good = humps(dims), 5, 0
    while good <= STABLE:
        good = good + 1 if abs(on_grid(model, points) - truth(dims)) <= ACCURACY else 0
        points += 2
    points -= 2 * good
    began = time.process_time()
    error = abs(on_grid(model, points) - truth(dims))
    return {"along_an_axis": points, "points": points**dims, "error": error, "seconds": time.process_time() - began}


def annealed(dims: int) -> dict[str, float]:
    """log Z by annealed importance sampling, and what it cost."""
    began = time.process_time()
    found = log_normaliser(humps(dims), n=CHAINS, sampler=MCMC(HMC(), AIS(TEMPERATURES)), generator=0)
    numbers = {"error": abs(found.value - truth(dims)), "standard_error": found.standard_error}
    return {**numbers, "gradients": float(found.info["gradients"]), "seconds": time.process_time() - began}


def picture(grids: dict[int, dict[str, float]], chains: dict[int, dict[str, float]]) -> None:
    """Evaluations and seconds against the dimension."""
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 3.4), dpi=100)
    for axis, (of_grid, of_chains, label) in zip(
        axes, (("points", "gradients", "evaluations of the energy"), ("seconds", "seconds", "CPU seconds")), strict=True
    ):
        axis.semilogy(list(grids), [row[of_grid] for row in grids.values()], "o-", label="grid, 1e-3 nats")
        line = {d: grids[DIMS[-1]][of_grid] * grids[DIMS[-1]]["along_an_axis"] ** (d - DIMS[-1]) for d in (4, 5, 6, 7)}
        axis.semilogy(list(line), list(line.values()), ":", color="tab:blue", label="n^D, not run")
        axis.semilogy(
            list(chains), [row[of_chains] for row in chains.values()], "s--", label="annealing, 2e-2 to 1e-1 nats"
        )
        axis.set(xlabel="dimensions", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE)


def main() -> int:
    """Measure, write, judge."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    grids = {dims: cheapest_grid(dims) for dims in DIMS}
    chains = {dims: annealed(dims) for dims in (*DIMS, 6, 8, 10)}
    for name, rows in (("grid", grids), ("annealing", chains)):
        for dims, row in rows.items():
            print(name, dims, row)
    picture(grids, chains)
    _record.write("quadrature_cost", began, {"grid": grids, "annealing": chains})
    growth = [grids[d + 1]["points"] / grids[d]["points"] for d in DIMS[:-1]]
    return int(any(row["error"] > ACCURACY for row in grids.values()) or min(growth) < 10)


if __name__ == "__main__":
    sys.exit(main())
