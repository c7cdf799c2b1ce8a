"""What test_distributed runs on one process and, under `torchrun`, on two: the same fits with the same batches.

    python shared_run.py OUT one [NAME ...]
    torchrun --nproc-per-node 2 shared_run.py OUT ddp|fsdp [NAME ...]          also half, rest, endless

Each model is fitted for STEPS steps in float64, then again in two halves with a resume between them. Process 0 leaves
run folders OUT/NAME-KIND and OUT/NAME-KIND-halves.
"""

import logging
import sys
from pathlib import Path

import torch

from fairway.core import parallel
from fairway.training import distributed
from fairway.training.fit import loop

STEPS, ROWS = 8, 32  # ROWS in a batch, over all processes
SMALL = {
    "gmm": {"components": 3, "objective.tolerance": 0.0},
    "made": {"hidden": (16, 16), "dropout": 0.2},
    "vae": {"hidden": (16,)},
    "real_nvp": {"hidden": (16,), "transforms": 2},
    "wgan_gp": {"hidden": (16,), "critic_hidden": (16,), "critic_steps": 2},
    "ebm": {"hidden": (16,), "chains": 64, "objective.steps": 2},
    "flow_matching": {"hidden": (16,)},
}


def table() -> torch.Tensor:
    """(203, 3) correlated rows at odd scales, float64."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(203, 3, generator=generator, dtype=torch.float64)
    return noise @ torch.randn(3, 3, generator=generator, dtype=torch.float64) * torch.tensor([40.0, 1, 3e-3]) + 7


def train(name: str, kind: str, out: Path, upto: int, **more: object) -> int:
    """Fit, leaving after `upto` steps; returns the step of the first yield."""
    options = {**SMALL[name], "steps": STEPS, "seed": 1, "dtype": "float64", "out": out, "checkpoint_every": 4, **more}
    if name != "gmm":
        options |= {"batch_size": ROWS // parallel.size(), "log_every": 1, "evaluate_every": 4}
        options |= {"parallel": "fsdp" if kind == "fsdp" else "ddp"}
    weights = torch.linspace(0.5, 2, 203) if name == "real_nvp" else None
    steps = []
    for run in loop(name, table(), weights=weights, **options):
        steps.append(run.step)
        if run.step == upto != STEPS:
            break
    return steps[0]


def main(out: Path, kind: str, names: list[str]) -> None:
    logging.getLogger("fairway").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    distributed.join()
    for name in names or list(SMALL):
        CASES.get(kind, whole_and_halves)(name, kind, out)


def whole_and_halves(name: str, kind: str, out: Path) -> None:
    train(name, kind, out / f"{name}-{kind}", STEPS)
    halves = out / f"{name}-{kind}-halves"
    train(name, kind, halves, STEPS // 2)
    first = train(name, kind, halves, STEPS, resume=True)
    if parallel.rank() == 0:
        (halves / "first_step.txt").write_text(str(first))


CASES = {
    "half": lambda name, kind, out: train(name, kind, out / f"{name}-half", STEPS // 2),
    "rest": lambda name, kind, out: train(name, kind, out / f"{name}-half", STEPS, resume=True),
    "endless": lambda name, kind, out: train(name, kind, out / f"{name}-endless", 10**9, steps=10**7),
}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
