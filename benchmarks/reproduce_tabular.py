"""Tables of ten columns: flow_matching against nsf on protein and magic_gamma, about a minute of one core each.

protein (45,730 x 10, official fold 0) and magic_gamma (19,020 x 10, a tenth held out) with default settings, and as
many steps as take about a minute: the processor's seconds that they took stand beside. Two scores:

    nats        log-likelihood of 1,000 test rows: nsf's is exact, flow_matching's is the probability flow's with the
                exact trace, whose error of steps is measured on 100 rows with `density` (half as many steps once more)
    accuracy    of `classifier_test`, half of the rows to learn from, half to judge: as many draws as test rows; mean
                over five halves and draws. 0.5 where they cannot be told apart. The floor is the same for rows of the
                training split in the draws' place.

Nats ask for the density everywhere, thin directions above all; a classifier of this size asks for what it can see.

Writes benchmarks/results/tabular.json after each row, and goes on where it stopped; exits 1 if a model is not above the
full-covariance Gaussian. Which family is ahead is a result, not a goal.

    FAIRWAY_DATA=... python benchmarks/reproduce_tabular.py                 about 15 minutes on one core
    FAIRWAY_DATA=... python benchmarks/reproduce_tabular.py --models edm    another model, by the steps of flow_matching
    FAIRWAY_DATA=... python benchmarks/reproduce_tabular.py --steps 100     a taste: shown, not written
"""

import argparse
import itertools
import sys
from statistics import mean, stdev
from typing import Any

import torch
from _rows import Clock, Rows, dataset

import fairway as fw
from fairway.metrics.two_sample import classifier_test
from fairway.models.diffusion.denoiser import Denoiser
from fairway.models.diffusion.density import density

NAME, DATASETS, MODELS, SEEDS = "tabular", ("protein", "magic_gamma"), ("nsf", "flow_matching"), (0, 1)
STEPS = {"nsf": 5000, "flow_matching": 4200}
TEST, ERRORS, REPEATS = 1000, 100, 5


def accuracy(real: torch.Tensor, others: list[torch.Tensor]) -> dict[str, float]:
    """How well a classifier tells rows of the test split from each of the others, as many of either."""
    found = []
    for k, other in enumerate(others):
        n = min(len(real), len(other))
        found.append(classifier_test(real[:n], other[:n], permutations=1, generator=k).statistic.value)
    return {"accuracy": mean(found), "accuracy_sd": stdev(found)}


def floor(train: Any, test: Any) -> dict[str, float]:
    """The accuracy for rows of the training split, chosen anew each time."""
    orders = [torch.randperm(len(train.x), generator=torch.Generator().manual_seed(k)) for k in range(REPEATS)]
    return accuracy(test.x, [train.x[order[: len(test.x)]] for order in orders])


def gaussian(train: Any, test: Any) -> float:
    """Nats of the full-covariance Gaussian on the same rows, in float64."""
    return fw.evaluate(fw.fit("gaussian", train.x.double(), validation=0.0), test.x[:TEST].double()).nats


def row(name: str, train: Any, test: Any, seed: int, steps: int) -> dict[str, Any]:
    """One fit and its scores."""
    clock = Clock()
    model = fw.fit(name, train, steps=steps, seed=seed, compile="off")
    out: dict[str, Any] = {"training_" + key: value for key, value in clock.read().items()}
    out |= {"steps": model.history.steps, "parameters": sum(p.numel() for p in model.parameters())}
    clock, found = Clock(), fw.evaluate(model, test.x[:TEST])
    out |= {"nats": found.nats, "error": found.standard_error, "relation": found.relation, "method": found.method}
    out |= {"likelihood_cpu_seconds": clock.read()["cpu_seconds"], "step_error": None}
    if isinstance(model, Denoiser):
        out["step_error"] = float(density(model, test.x[:ERRORS]).step_error.mean())
    clock = Clock()
    draws = model.sample(REPEATS * len(test.x), generator=seed)
    out["draw_cpu_seconds"] = clock.read()["cpu_seconds"]
    return out | accuracy(test.x, list(draws.chunk(REPEATS)))


def report(rows: list[dict[str, Any]], datasets: list[str], models: list[str]) -> int:
    """Every row; 1 if one is not above the Gaussian."""
    missed = 0
    for data, name in itertools.product(datasets, models):
        mine = [row for row in rows if (row["dataset"], row["model"]) == (data, name)]
        if not mine:
            print(f"     {name} on {data}: not run")
        for r in mine:
            ok = r["nats"] > r["gaussian"]
            text = f"{r['nats']:.3f} +- {r['error']:.3f} nats ({r['method']}; Gaussian {r['gaussian']:.3f})"
            told = f"told apart {r['accuracy']:.3f}, floor {r['floor']['accuracy']:.3f}"
            cost = f"{r['training_cpu_seconds']:.0f} CPU seconds"
            print(f"{'ok  ' if ok else 'MISS'} {name} on {data}, seed {r['seed']}: {text}; {told}; {cost}")
            missed |= not ok
    return missed


def main() -> int:
    """Make the rows that are missing, judge all."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--datasets", type=lambda text: text.split(","), default=list(DATASETS))
    options.add_argument("--models", type=lambda text: text.split(","), default=list(MODELS))
    options.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=list(SEEDS))
    options.add_argument("--steps", type=int, help="of every fit, in place of those that results are stated for")
    asked = options.parse_args()
    torch.set_num_threads(1)
    rows = Rows(NAME, ("dataset", "model", "seed"), asked.steps is None, test=TEST, repeats=REPEATS)
    for name_of_data in asked.datasets:
        data = dataset(name_of_data)
        if data is None:
            continue
        train, test = data.split()
        left = [
            (seed, name)
            for seed, name in itertools.product(asked.seeds, asked.models)
            if not rows.has(dataset=name_of_data, model=name, seed=seed)
        ]
        if not left:
            continue
        beside = {"gaussian": gaussian(train, test), "floor": floor(train, test)}
        for seed, name in left:
            steps = asked.steps or STEPS.get(name, STEPS["flow_matching"])
            made = {"dataset": name_of_data, "model": name, "seed": seed, **row(name, train, test, seed, steps)}
            rows.put({**made, **beside, "protocol": test.protocol, "rows": len(test.x)})
    return report(rows.all(), asked.datasets, asked.models)


if __name__ == "__main__":
    sys.exit(main())
