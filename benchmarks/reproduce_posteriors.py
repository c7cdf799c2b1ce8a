"""Posteriors of the VAE on binarised MNIST, at equal steps: does a flow beat the diagonal Gaussian?

The same encoder and decoder for all, the same batches; the KL's weight grows over the first quarter of the steps, or
latents are lost that no posterior brings back. Scored on test images by the bound of 100 importance-weighted draws,
nats, and by the plain bound, of which the difference is what the posterior loses. A flow's step costs more: CPU seconds
stand beside. Static binarisation; Kingma et al. 2016 and Rezende and Mohamed 2015 train larger networks for far longer,
so their numbers are no goal here.

Writes benchmarks/results/posteriors.json after each row, and goes on where it stopped; exits 1 if `iaf` does not beat
`diagonal` by either bound on average over the seeds.

    FAIRWAY_DATA=... python benchmarks/reproduce_posteriors.py          about 2 minutes of CPU for each of 12 rows
    FAIRWAY_DATA=... python benchmarks/reproduce_posteriors.py 500      steps a row
"""

import json
import sys
import time
from statistics import mean
from typing import Any

import _record
import torch

import fairway as fw
from fairway.metrics.importance import importance_bound

POSTERIORS, SEEDS = ("diagonal", "planar", "radial", "iaf"), range(3)
STEPS = 8000
OPTIONS = {"latent": 32, "hidden": (256, 256), "transforms": 4, "validation": 0.02, "compile": "off"}
TEST, DRAWS = 1000, 100


def row(name: str, seed: int, steps: int, data: Any) -> dict[str, Any]:
    """One fit and its bounds."""
    began = time.process_time()
    every, warm_up = max(steps // 10, 1), steps // 4
    model = fw.fit(
        "vae", data, posterior=name, steps=steps, seed=seed, warm_up=warm_up, evaluate_every=every, **OPTIONS
    )
    took = time.process_time() - began
    found = importance_bound(model, data.test.x[:TEST], draws=DRAWS, generator=0)
    return {
        "posterior": name,
        "seed": seed,
        "steps": steps,
        "cpu_seconds": round(took, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "bound": float(found.terms["elbo"].mean()),
        "importance_bound": found.nats,
        "standard_error": found.standard_error,
        "ess": float(found.terms["ess"].mean()),
    }


def table(rows: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Print means over the seeds; both bounds by posterior."""
    means = {}
    for name in POSTERIORS:
        mine = [r for r in rows if r["posterior"] == name]
        if mine:
            plain, tight, ess, cpu = (
                mean(r[key] for r in mine) for key in ("bound", "importance_bound", "ess", "cpu_seconds")
            )
            means[name] = plain, tight
            text = f"importance {tight:8.2f}, bound {plain:8.2f}, ess {ess:.1f}"
            print(f"{name:9s} {len(mine)} seeds, {cpu:6.0f} CPU seconds: {text}")
    return means


def main(steps: int) -> int:
    """Run what is missing, write, judge."""
    torch.set_num_threads(1)
    data, path = fw.data.load("binarized_mnist"), _record.RESULTS / "posteriors.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    rows = before.get("rows", []) if before.get("steps") == steps else []
    began, done = time.perf_counter(), {(r["posterior"], r["seed"]) for r in rows}
    for seed in SEEDS:
        for name in POSTERIORS:
            if (name, seed) not in done:
                rows.append(row(name, seed, steps, data))
                print(rows[-1], flush=True)
                _record.write("posteriors", began, {"steps": steps, "draws": DRAWS, "test": TEST, "rows": rows})
    means = table(rows)
    return int(not all(flow > plain for flow, plain in zip(means["iaf"], means["diagonal"], strict=True)))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else STEPS))
