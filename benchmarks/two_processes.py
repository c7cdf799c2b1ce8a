"""Two processes against one with the doubled batch: seven models, float64, under DDP and FSDP2 on gloo.

Each model is fitted three ways (tests/training/shared_run.py), and again on two processes in halves with a resume
between. The table says by how much any logged number (losses, terms, gradient norms, monitor, log-likelihoods) of any
step differs from that of one process, and any weight at the end; whether the halves end in the bits of the whole; and
whether one process can load the result.

Writes benchmarks/results/two_processes.json; exits 1 where a curve differs by more than 1e-5, or bits differ.

    python benchmarks/two_processes.py        about a minute on two cores
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _record
import torch

from fairway.training.files import read_tensors
from fairway.training.history import read_rows
from fairway.training.run_folder import load

SCRIPT = Path(__file__).parents[1] / "tests" / "training" / "shared_run.py"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
MODELS = ("gmm", "made", "vae", "real_nvp", "wgan_gp", "ebm", "flow_matching")
KINDS, GOAL = ("ddp", "fsdp"), 1e-5


def curves_differ(one: Path, two: Path) -> float:
    """The largest difference of two logs."""
    pairs = list(zip(read_rows(one / "metrics.jsonl"), read_rows(two / "metrics.jsonl"), strict=True))
    return max(abs(a[key] - b[key]) for a, b in pairs for key in a if key != "seconds")


def weights_differ(one: Path, two: Path) -> float:
    """The largest difference of two models' tensors."""
    a, b = (read_tensors(folder / "weights.safetensors") for folder in (one, two))
    return max(float((a[key].double() - b[key].double()).abs().max()) for key in a if a[key].numel())


def compare(folder: Path, name: str, kind: str) -> dict[str, object]:
    """One row of the table."""
    one, two, halves = (folder / f"{name}-{ending}" for ending in ("one", kind, f"{kind}-halves"))
    return {
        "name": name,
        "kind": kind,
        "steps": len(read_rows(two / "metrics.jsonl")),
        "curve": curves_differ(one, two),
        "weights": weights_differ(one, two),
        "resumed_at": int((halves / "first_step.txt").read_text()) - 1,
        "same_bits": weights_differ(two, halves) == 0.0,
        "loads": bool(load(two).sample(10, generator=0).isfinite().all()),
    }


def main() -> int:
    torch.set_num_threads(1)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        for start, kind in (([sys.executable], "one"), *((TORCHRUN, kind) for kind in KINDS)):
            subprocess.run([*start, SCRIPT, place, kind], check=True)
        rows = [compare(Path(place), name, kind) for name in MODELS for kind in KINDS]
    print(f"{'model':<14} {'':<5} {'curve':>8} {'weights':>8}  resumed at  same bits  loads")
    for row in rows:
        numbers = f"{row['curve']:8.0e} {row['weights']:8.0e}  {row['resumed_at']:>10}"
        print(f"{row['name']:<14} {row['kind']:<5} {numbers}  {row['same_bits']!s:>9}  {row['loads']!s:>5}")
    _record.write("two_processes", began, {"goal": GOAL, "rows": rows})
    return int(not all(row["curve"] <= GOAL and row["same_bits"] and row["loads"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
