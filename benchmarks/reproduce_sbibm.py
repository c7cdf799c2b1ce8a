"""Simulation-based inference: the posterior of a simulator's parameters, learned from 10,000 pairs.

nsf and maf as conditional densities of theta given x on two tasks of the benchmark of Lueckmann et al. (2021):
two_moons (2 parameters, a uniform prior on a box, which draws never leave) and gaussian_linear (10 parameters); and
flow_matching and edm on two_moons. `model.sample(10_000, context=x_o)` is held against 10,000 reference draws of the
posterior by the benchmark's own classifier two-sample test: 0.5 where the two cannot be told apart, 1 where they always
can. The goal is a mean over observations 1 and 2 of at most 0.56 (0.60 for flow_matching and edm) and 0.55; published
numbers for 10,000 pairs stand beside.

The reference lies in --folder, $FAIRWAY_SBIBM or ../shared/reference/sbibm beside the checkout: TASK.npz with
train_theta, train_x, observation_k and reference_k. Writes benchmarks/results/sbibm.json; exits 1 above a goal, and 0
where there is no reference, after saying so.

    python benchmarks/reproduce_sbibm.py                        about 20 minutes on one core, most of it in the test
    python benchmarks/reproduce_sbibm.py --tasks two_moons --models nsf
"""

import os
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from _rows import Clock, Rows, length, parser

import fairway as fw

NAME, OBSERVATIONS, DRAWS, BUDGET = "sbibm", (1, 2), 10_000, "60s"
GOALS = {  # of each task, who is run and what mean is asked for
    "two_moons": {"nsf": 0.56, "maf": 0.56, "flow_matching": 0.60, "edm": 0.60},
    "gaussian_linear": {"nsf": 0.55, "maf": 0.55},
}
BOUNDS: dict[str, fw.Event | None] = {
    "two_moons": fw.Event((2,), "bounded", low=-1.0, high=1.0),
    "gaussian_linear": None,
}
OPTIONS: dict[str, dict[str, Any]] = {"nsf": {}, "maf": {}, "real_nvp": {}}
PUBLISHED = {  # C2ST of observations 1 and 2 after 10,000 simulations: single runs of github.com/sbi-benchmark/results
    "two_moons": {"NPE": (0.5421, 0.5706), "SNPE": (0.5475, 0.5256), "NLE": (0.6318, 0.6456)},
    "gaussian_linear": {"NPE": (0.5648, 0.5308), "SNPE": (0.5585, 0.5447), "NLE": (0.5582, 0.5238)},
}


def find_folder(asked: str | None) -> Path:
    """Where the reference lies."""
    beside = Path(__file__).parents[2] / "shared" / "reference" / "sbibm"
    return Path(asked or os.environ.get("FAIRWAY_SBIBM") or beside).expanduser()


def fitted(name: str, task: str, pairs: Any, budget: str) -> fw.Model:
    """The density of theta given x."""
    theta = fw.data.load(pairs["train_theta"], event=BOUNDS[task])
    return fw.fit(name, theta, context=pairs["train_x"], **length(budget), seed=0, **OPTIONS.get(name, {}))


def compared(model: fw.Model, task: str, pairs: Any, observation: int) -> dict[str, Any]:
    """One observation's row: the test, and the share of draws outside the prior's box."""
    clock = Clock()
    draws = model.sample(DRAWS, context=pairs[f"observation_{observation}"], generator=observation)
    drawing = clock.read()["seconds"]
    event = BOUNDS[task]
    outside = 0.0 if event is None else float(((draws < event.low) | (draws > event.high)).any(1).float().mean())
    found = fw.metrics.c2st(pairs[f"reference_{observation}"], draws)
    row = {"task": task, "model": model.name(), "observation": observation, "c2st": found.value, "outside": outside}
    return {**row, "error": found.standard_error, "draw_seconds": drawing, "test_seconds": clock.read()["seconds"]}


def report(rows: list[dict[str, Any]], tasks: list[str], models: list[str] | None) -> int:
    """Means over the observations, beside the published; 1 above a goal."""
    missed = 0
    for task in tasks:
        for name in models or GOALS[task]:
            mine = {row["observation"]: row for row in rows if (row["task"], row["model"]) == (task, name)}
            if len(mine) < len(OBSERVATIONS):
                print(f"     {name} on {task}: not run")
                continue
            values = [mine[k]["c2st"] for k in OBSERVATIONS]
            goal = GOALS[task].get(name, GOALS[task]["nsf"])
            ok = mean(values) <= goal and not any(row["outside"] for row in mine.values())
            text = f"C2ST {' and '.join(f'{value:.3f}' for value in values)}, mean {mean(values):.3f}"
            print(f"{'ok  ' if ok else 'MISS'} {name} on {task}: {text} (goal {goal:.2f})")
            missed |= not ok
        for name, (first, second) in PUBLISHED[task].items():
            print(f"     {name}, published: {first:.3f} and {second:.3f}, mean {(first + second) / 2:.3f}")
    return missed


def main() -> int:
    """Train, draw, test what is missing; judge."""
    options = parser(__doc__, BUDGET)
    options.add_argument("--tasks", default=",".join(GOALS))
    options.add_argument(
        "--models", type=lambda text: text.split(","), help="such as nsf,edm; default: those with a goal"
    )
    options.add_argument("--folder", help="where the reference lies")
    options.add_argument("--fresh", action="store_true", help="forget the rows that are there")
    asked = options.parse_args()
    folder, tasks = find_folder(asked.folder), asked.tasks.split(",")
    absent = [f"{task}.npz" for task in tasks if not (folder / f"{task}.npz").is_file()]
    if absent:
        print(f"not run: no {', '.join(absent)} in {folder}; pass --folder or set FAIRWAY_SBIBM")
        return 0
    torch.set_num_threads(1)
    rows = Rows(
        NAME, ("task", "model", "observation"), asked.record or asked.budget == BUDGET, published=PUBLISHED, goals=GOALS
    )
    if asked.fresh:
        rows.forget()
    pending = [(task, name) for task in tasks for name in asked.models or GOALS[task]]
    for task, name in pending:
        left = [k for k in OBSERVATIONS if not rows.has(task=task, model=name, observation=k)]
        if left:
            pairs, clock = np.load(folder / f"{task}.npz"), Clock()
            model = fitted(name, task, pairs, asked.budget)
            training = {"training_seconds": clock.read()["seconds"], "steps": model.history.steps}
            for k in left:
                rows.put({**compared(model, task, pairs, k), **training, "budget": asked.budget})
    return report(rows.all(), tasks, asked.models)


if __name__ == "__main__":
    sys.exit(main())
