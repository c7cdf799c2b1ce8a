"""Default settings, 20 seconds: does any flow give NaN, or lose to a Gaussian, on any of 180 fits?

nsf, maf and real_nvp with seeds 0 to 19 on power_plant (9,568 x 5), protein (45,730 x 10) and magic_gamma (19,020 x
10). A fit passes if every number in its log, every held-out log-density and every sample is finite and its held-out
nats are above those of the full-covariance Gaussian on the same rows. One thread each; several processes may share
the work, each row is put down when it is done, rows that are there are not made again (--fresh forgets them).

Writes benchmarks/results/stability.json; exits 1 if a fit of those asked for fails.

    python benchmarks/reproduce_stability.py                          65 minutes on one core
    python benchmarks/reproduce_stability.py --seeds 0-9 & python benchmarks/reproduce_stability.py --seeds 10-19
"""

import itertools
import math
import sys
from typing import Any

import torch
from _rows import Clock, Rows, dataset, length, parser

import fairway as fw
from fairway.training.guard import Diverged

NAME = "stability"
MODELS = ("nsf", "maf", "real_nvp")
DATASETS = ("power_plant", "protein", "magic_gamma")
SEEDS, BUDGET, SAMPLES = "0-19", "20s", 1_000


def gaussian(train: Any, test: Any) -> float:
    """Held-out nats of the full-covariance Gaussian, in float64."""
    return fw.evaluate(fw.fit("gaussian", train.x.double(), validation=0.0), test.x.double()).nats


def fitted(name: str, train: Any, test: Any, seed: int, budget: str) -> dict[str, Any]:
    """One fit with default settings: its held-out nats, and what was not finite."""
    try:
        model = fw.fit(name, train, **length(budget), seed=seed)
    except Diverged as error:
        return {"nats": None, "why": str(error)}
    found, samples = fw.evaluate(model, test), model.sample(SAMPLES, generator=seed)
    logged = [value for row in model.history.rows for value in row.values() if isinstance(value, float)]
    finite = {
        "a logged number": all(map(math.isfinite, logged)),
        "a log-density": bool(found.value.isfinite().all()),
        "a sample": bool(samples.isfinite().all()),
    }
    why = ", ".join(what for what, fine in finite.items() if not fine)
    return {"nats": found.nats, "why": why and f"not finite: {why}", "steps": model.history.steps}


def seeds(text: str) -> list[int]:
    """ "0-3,7" -> [0, 1, 2, 3, 7]."""
    parts = [part.partition("-") for part in text.split(",")]
    return [seed for first, _, last in parts for seed in range(int(first), int(last or first) + 1)]


def judged(row: dict[str, Any]) -> bool:
    """Finite and better than the Gaussian."""
    return not row["why"] and row["nats"] is not None and row["nats"] > row["gaussian"]


def report(rows: list[dict[str, Any]], datasets: list[str], models: list[str]) -> int:
    """Each kind of fit with its worst and best seed; 1 if one fails."""
    missed = 0
    for data, name in itertools.product(datasets, models):
        mine = [row for row in rows if (row["dataset"], row["model"]) == (data, name)]
        if not mine:
            print(f"     {name} on {data}: not run")
            continue
        bad = [f"; seed {row['seed']}: {row['why'] or 'below the Gaussian'}" for row in mine if not judged(row)]
        nats = [row["nats"] for row in mine if row["nats"] is not None] or [math.nan]
        text = f"{min(nats):.3f} to {max(nats):.3f} nats, Gaussian {mine[0]['gaussian']:.3f}"
        print(f"{'MISS' if bad else 'ok  '} {name} on {data}, {len(mine)} seeds: {text}{''.join(bad)}")
        missed |= bool(bad)
    return missed


def main() -> int:
    """Make the rows that are missing, judge all."""
    options = parser(__doc__, BUDGET)
    options.add_argument("--seeds", default=SEEDS, help="such as 0-9 or 3,5")
    options.add_argument("--models", default=",".join(MODELS))
    options.add_argument("--datasets", default=",".join(DATASETS))
    options.add_argument("--fresh", action="store_true", help="forget the rows that are there")
    asked = options.parse_args()
    torch.set_num_threads(1)
    rows = Rows(NAME, ("dataset", "model", "seed"), asked.record or asked.budget == BUDGET)
    if asked.fresh:
        rows.forget()
    for name_of_data in asked.datasets.split(","):
        data = dataset(name_of_data)
        if data is None:
            continue
        train, test = data.split()
        base = gaussian(train, test)
        for seed, name in itertools.product(seeds(asked.seeds), asked.models.split(",")):
            key = {"dataset": name_of_data, "model": name, "seed": seed}
            if not rows.has(**key):
                clock = Clock()
                row = {
                    **key,
                    "gaussian": base,
                    "budget": asked.budget,
                    **fitted(name, train, test, seed, asked.budget),
                    **clock.read(),
                }
                print(f"{name} on {name_of_data}, seed {seed}: {row['nats']} {row['why']}", flush=True)
                rows.put(row)
    return report(rows.all(), asked.datasets.split(","), asked.models.split(","))


if __name__ == "__main__":
    sys.exit(main())
