"""How much the clip decides: `wgan` on the ring of 8 Gaussians with every weight of the critic within +- c.

For each c: what the critic says after training (its logged gap, some multiple of the distance) and the exact W1 between
2,000 draws and as many rows, in units of the data's standard deviation; modes captured, and the share of draws of high
quality. Small c let no gradient through three layers; large ones let the critic take long to its best.

Writes benchmarks/results/clipping.json.

    python benchmarks/clipping.py        about four minutes on one core
"""

import time

import _record
import torch

import fairway as fw
from fairway.data.toy import ring, ring_centres
from fairway.metrics.divergence.transport import wasserstein
from fairway.metrics.modes import mode_metrics
from fairway.objectives.adversarial import Adversarial

CLIPS, STEPS, ROWS, DRAWS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0), 2000, 20_000, 2000


def row(clip: float, seed: int = 0) -> dict[str, float]:
    """One fit."""
    x, began = ring(ROWS, seed=seed).x, time.process_time()
    objective = Adversarial("wasserstein", "clip", weight=clip, critic_steps=5)
    model = fw.fit("wgan", x, objective=objective, steps=STEPS, seed=seed, validation=0, log_every=100)
    seconds = time.process_time() - began
    draws = model.sample(DRAWS, generator=seed).double()
    modes = mode_metrics(draws, ring_centres(), 0.02)
    gap = [r["gap"] for r in model.history.rows if "gap" in r][-1]
    distance = wasserstein(draws / x.std(), ring(DRAWS, seed=seed + 1).x.double() / x.std(), order=1).value
    return {
        "c": clip, "gap": round(gap, 5), "wasserstein": round(distance, 3), "captured": modes["captured"].value,
        "high_quality": round(modes["high_quality"].value, 4), "cpu_seconds": round(seconds, 1),
    }  # fmt: skip


def main() -> None:
    """Fit, print, write."""
    torch.set_num_threads(1)
    began, rows = time.perf_counter(), []
    for clip in CLIPS:
        rows.append(row(clip))
        print(rows[-1], flush=True)
    _record.write("clipping", began, {"rows": rows, "steps": STEPS})


if __name__ == "__main__":
    main()
