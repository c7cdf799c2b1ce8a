"""Natural image patches, 63 dimensions: maf, nsf and glow (on vectors), 20 minutes of one core each, and a Gaussian.

The patches are cut anew from the photographs of BSDS300 with the recipe of the papers' benchmark: nats are on the scale
of the papers' numbers, but not of the same points, and the papers train for days on a million patches (190,000 here).
A model is trained in its run folder runs/bsds300/MODEL-BUDGET: killed and started again, it goes on. Models that were
not trained are shown as "not run".

Writes benchmarks/results/bsds300.json; exits 1 if the full-covariance Gaussian does not get its 96.1 nats on the test
split, or a trained flow is not better than it.

    python benchmarks/reproduce_bsds300.py                                  about an hour on one core
    python benchmarks/reproduce_bsds300.py --models nsf --budget 60s        a taste: shown, not written
"""

import sys
from pathlib import Path
from typing import Any

import torch
from _rows import Clock, Rows, dataset, length, parser

import fairway as fw

NAME, DATA = "bsds300", "bsds300_patches"
MODELS = ("maf", "nsf", "glow")
BUDGET, GAUSSIAN, NEAR = "20m", 96.10, 0.1
OPTIONS: dict[str, dict[str, Any]] = {"maf": {}, "nsf": {}, "glow": {}, "real_nvp": {}}
MAF_PAPER, NSF_PAPER = "Papamakarios et al. 2017, table 1", "Durkan et al. 2019, table 1"
PUBLISHED = [  # on the papers' own BSDS300; nats, two standard errors
    {"name": "Gaussian", "nats": 96.67, "error": 0.25, "source": MAF_PAPER},
    {"name": "MADE", "nats": 148.85, "error": 0.28, "source": MAF_PAPER},
    {"name": "MADE MoG", "nats": 153.71, "error": 0.28, "source": MAF_PAPER},
    {"name": "Real NVP (5)", "nats": 152.97, "error": 0.28, "source": MAF_PAPER},
    {"name": "Real NVP (10)", "nats": 153.28, "error": 1.78, "source": MAF_PAPER},
    {"name": "MAF (5)", "nats": 155.69, "error": 0.28, "source": MAF_PAPER},
    {"name": "MAF (10)", "nats": 154.93, "error": 0.28, "source": MAF_PAPER},
    {"name": "MAF MoG (5)", "nats": 156.36, "error": 0.28, "source": MAF_PAPER},
    {"name": "Glow", "nats": 156.95, "error": 0.28, "source": NSF_PAPER},
    {"name": "RQ-NSF (C)", "nats": 157.54, "error": 0.28, "source": NSF_PAPER},
    {"name": "RQ-NSF (AR)", "nats": 157.31, "error": 0.28, "source": NSF_PAPER},
]


def scored(model: fw.Model, test: Any) -> dict[str, Any]:
    """Nats of the test split with their standard error."""
    found = fw.evaluate(model, test)
    return {"nats": round(found.nats, 3), "error": round(found.standard_error, 3), "method": found.method}


def gaussian(data: Any) -> dict[str, Any]:
    """The closed form, in float64."""
    model = fw.fit("gaussian", data.x.double(), validation=0.0, seed=0)
    return {"model": "gaussian", "budget": "closed form", **scored(model, data.test.x.double())}


def trained(name: str, budget: str, data: Any) -> dict[str, Any]:
    """One flow, from where an earlier run left off."""
    clock, folder = Clock(), Path("runs") / NAME / f"{name}-{budget}"
    model = fw.fit(name, data, **length(budget), seed=0, out=folder, resume=True, **OPTIONS.get(name, {}))
    history = model.history
    row = {"model": name, "budget": budget, **scored(model, data.test), "steps": history.steps}
    row |= {"parameters": sum(p.numel() for p in model.parameters()), "training_seconds": round(history.seconds, 1)}
    return row | clock.read()


def report(rows: list[dict[str, Any]]) -> int:
    """Every row, run or not, beside the papers'; 1 if one is not what it should be."""
    made, missed = {row["model"]: row for row in rows}, 0
    for name in dict.fromkeys(["gaussian", *MODELS, *made]):
        row = made.get(name)
        if row is None:
            print(f"     {name}: not run")
            continue
        ok = abs(row["nats"] - GAUSSIAN) <= NEAR if name == "gaussian" else row["nats"] > GAUSSIAN
        print(f"{'ok  ' if ok else 'MISS'} {name} ({row['budget']}): {row['nats']:.2f} +- {row['error']:.2f} nats")
        missed |= not ok
    print("published, on the papers' BSDS300 (the same scale, not the same points):")
    for paper in PUBLISHED:
        print(f"     {paper['name']}: {paper['nats']:.2f} +- {paper['error']:.2f} ({paper['source']})")
    return missed


def main() -> int:
    """Train what is missing, write, judge."""
    options = parser(__doc__, BUDGET)
    options.add_argument("--models", default=",".join(MODELS), help="names, with commas between them")
    options.add_argument("--again", action="store_true", help="evaluate models anew that have a row")
    asked = options.parse_args()
    torch.set_num_threads(1)
    data = dataset(DATA)
    if data is None:
        return 0
    about = {"published": PUBLISHED, "protocol": data.protocol, "seed": 0}
    rows = Rows(NAME, ("model",), asked.record or asked.budget == BUDGET, **about)
    if asked.again or not rows.has(model="gaussian"):
        rows.put(gaussian(data))
    for name in asked.models.split(","):
        if asked.again or not rows.has(model=name):
            rows.put(trained(name, asked.budget, data))
    return report(rows.all())


if __name__ == "__main__":
    sys.exit(main())
