"""The main job: seven models, 30 seconds each, on the 1,797 handwritten digits (8x8, 17 levels) inside scikit-learn.

Writes benchmarks/results/digits.json and docs/pictures/digits.png; exits 1 if a model misses its goal. The goals: bits
per dimension on held-out digits (made 2.30, vae 2.25, real_nvp 2.15, the last two as bounds), and for every model a
classifier's confidence (p > 0.8) on at least 0.8 of the share it is confident on for real digits, all classes present.

    python benchmarks/reproduce_digits.py              about 5 minutes on 2 cores
    python benchmarks/reproduce_digits.py --picture    draw the picture again from the runs
"""

import sys
import time
from pathlib import Path

import _record
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import fairway as fw

MODELS = ("gmm", "made", "vae", "real_nvp", "wgan_gp", "ebm", "flow_matching")
GOALS = {"made": 2.30, "vae": 2.25, "real_nvp": 2.15}
CONFIDENT = 0.8
RUN = Path("runs/demo")
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "digits.png"


def picture() -> None:
    """One row of eighteen samples from each run folder, real digits below."""
    rows = {name: fw.load(RUN / "models" / name).sample(18, generator=0) for name in MODELS}
    rows["real"] = fw.data.load("digits").split(0.2, 0)[1].x[:18]
    figure, axes = plt.subplots(len(rows), 1, figsize=(9.6, 0.56 * len(rows)), dpi=110)
    for axis, (name, x) in zip(axes, rows.items(), strict=True):
        axis.imshow(np.hstack([np.pad(image, 1, constant_values=0) for image in x.numpy()]), cmap="gray_r")
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
    figure.subplots_adjust(left=0.12, right=0.995, top=0.99, bottom=0.01, hspace=0.15)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE)


def main() -> int:
    """Run, write, judge."""
    began = time.perf_counter()
    result = fw.compare(MODELS, "digits", budget="30s", seed=0, out=RUN)
    print(result)
    found = result.to_dict()
    for row in found["rows"]:
        row.pop("history", None)  # the training logs stay in runs/demo
    _record.write("digits", began, found)
    picture()
    return report(result)


def report(result: "fw.report.compare.Comparison") -> int:
    """Print each goal beside what was reached; 1 if one was missed."""
    real, missed = result["fresh real data"].sure or 1.0, 0
    for name in MODELS:
        row = result[name]
        if row.status != "ok":
            print(f"{name}: {row.reason}")
            missed = 1
            continue
        goal, bits = GOALS.get(name), (row.likelihood or {}).get("bits_per_dim")
        share = (row.sure or 0.0) / real
        ok = (goal is None or bits <= goal) and share >= CONFIDENT and row.present == row.classes
        bits_text = "no density" if bits is None else f"{bits:.3f} bits/dim" + (f" (goal {goal})" if goal else "")
        print(
            f"{'ok  ' if ok else 'MISS'} {name}: {bits_text}; confident {share:.2f} of real; classes {row.present}/10"
        )
        missed |= not ok
    return missed


if __name__ == "__main__":
    sys.exit(picture() if "--picture" in sys.argv else main())
