"""Golf on images: Fashion-MNIST and MNIST by denoisers, 30 minutes of one core each, judged stroke by stroke.

28 x 28 grey levels as published, the library's default U-Net. A fit is a number of steps chosen to take about 30
minutes of one idle core (what it took by the clock, beside others' work, is in its row). Draws are judged by the
Fréchet distance of 2,500 of them to 5,000 test images in the last hidden layer of a small classifier, which is trained
on the training labels under a fixed seed. The test images are chosen at random, as the first half of MNIST's was
written by tidier hands than the second. Beside them, at the same size:

    fresh       2,500 other test images: what cannot be told from data
    copy        2,500 training images: a memory would score so
    Gaussian    draws of the Gaussian with the training images' mean and covariance, cut to 0..255

    strokes     1, 2, 4, 8, 18, 35 evaluations of the network by DPM-Solver++, and 35 by Heun's rule (for `edm`)
    guidance    class-conditional draws at several scales of classifier-free guidance, 12 strokes; "right" is the share
                that the classifier sees as the class that was asked for
    bits        per dimension of test images, of `ddpm`: the variational bound of its steps, and the density of its
                probability flow, side by side; grey levels are dequantised with uniform noise, so both are from above

The classifier's features are its own: no figure here is an FID, and none compares with published ones.

Writes benchmarks/results/image_diffusion.json, docs/pictures/DATA_MODEL.png (a column is one noise, a row one number
of strokes; or a row one class) and docs/pictures/golf.png. Killed and started again, it goes on.

    python benchmarks/reproduce_image_diffusion.py                                            two hours on one core
    python benchmarks/reproduce_image_diffusion.py --jobs mnist-edm --steps 300 --draws 500   a taste
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import _record
import torch
from _judge import Judge
from _rows import Clock, Row, Rows, dataset
from torch import Tensor

import fairway as fw
from fairway.core.random import Rows as Noise
from fairway.report.pictures import grid, png
from fairway.samplers.dpm_solver import DPMSolver
from fairway.samplers.guidance import Guided
from fairway.samplers.heun import Heun

NAME, PICTURES = "image_diffusion", Path(__file__).parents[1] / "docs" / "pictures"
JOBS = ("fashion_mnist-edm", "mnist-flow_matching", "fashion_mnist-edm_conditional", "mnist-ddpm")
STEPS, DRAWS, BATCH = 4000, 2500, 64
ONE_STROKE = "image_gans"  # results of models that draw in one, judged by the same classifiers
STROKES, SCALES, GUIDED_STROKES = (1, 2, 4, 8, 18, 35), (0.0, 1.0, 1.5, 2.0, 4.0), 12
BITS_OF, COLUMNS, LARGEST = 64, 10, 200_000


def trained(data: Any, job: str, steps: int) -> tuple[fw.Model, Row]:
    """The model of one job, from where an earlier run left off, and what its row says of the fit."""
    source, _, name = job.partition("-")
    labels, clock = data.labels if name.endswith("_conditional") else None, Clock()
    model = fw.fit(
        name.removesuffix("_conditional"), data, context=labels, steps=steps, batch_size=BATCH, seed=0, compile="off",
        out=Path("runs") / NAME / f"{job}-{steps}", resume=True,
    )  # fmt: skip
    row: Row = {"data": source, "model": name, "steps": model.history.steps, "batch": BATCH}
    row |= {"parameters": sum(p.numel() for p in model.parameters()), "precision": str(model.history.precision)}
    return model, row | {"training_seconds": round(model.history.seconds, 1), "last_fit": clock.read()}


def golf(model: fw.Model, judge: Judge) -> list[Row]:
    """The distance at each number of strokes."""
    rules = {f"dpm_solver {k}": DPMSolver(k) for k in STROKES}
    rules |= {"heun 35": Heun(18)} if model.name() == "edm" else {}
    rows = []
    for rule, sampler in rules.items():
        clock, drawn = Clock(), model.draw(judge.draws, sampler=sampler, generator=0)
        row = {"rule": rule, "strokes": drawn.evaluations, **judge.distance(drawn.samples), **clock.read()}
        print(row, flush=True)
        rows.append(row)
    return rows


def guided(model: fw.Model, judge: Judge) -> list[Row]:
    """Distance and obedience at each scale of guidance."""
    labels, rows = judge.data.labels[: judge.draws], []
    for scale in SCALES:
        sampler = Guided(scale, sampler=DPMSolver(GUIDED_STROKES))
        images = model.sample(1, context=labels, sampler=sampler, generator=0)[:, 0]
        row = {"rule": f"guidance {scale}", "scale": scale, "right": judge.right(images, labels)}
        row |= judge.distance(images)
        print(row, flush=True)
        rows.append(row)
    return rows


def bits(model: fw.Model, judge: Judge) -> list[Row]:
    """Bits per dimension of test images by the steps' bound and by the flow's density."""
    x, rows = judge.data.test.x[:BITS_OF], []
    for rule, answer in (("bound", lambda x: model.bound(x, generator=0)), ("flow", lambda x: by_flow(model, x))):
        clock = Clock()
        found = -answer(x).double() / (x[0].numel() * torch.tensor(2.0).log())
        error = float(found.std() / len(x) ** 0.5)
        rows.append({"rule": rule, "bits": round(float(found.mean()), 4), "error": round(error, 4), **clock.read()})
        print(rows[-1], flush=True)
    return rows


@torch.no_grad()
def by_flow(model: fw.Model, x: Tensor) -> Tensor:
    """log p of grey levels dequantised with uniform noise, by the probability flow: (n,) nats, a bound in the mean."""
    rows = Noise(0, len(x))
    u, ladj = model._to_model(x, rows.spawn(0))
    return model._log_prob_drawn(u, None, rows.spawn(1)) + ladj


def picture(model: fw.Model, path: Path) -> None:
    """Rows of draws, one noise to a column: fewer strokes at the top, or one class to a row."""
    if model.context_event is None:
        shown = [model.sample(COLUMNS, sampler=DPMSolver(k), generator=1) for k in STROKES]
    else:
        sampler = Guided(2.0, sampler=DPMSolver(GUIDED_STROKES))
        classes = torch.arange(model.context_event.levels or 0)
        shown = list(model.sample(COLUMNS, context=classes, sampler=sampler, generator=1))
    file = png(grid(torch.cat(shown).double().numpy(), 0.0, 255.0, columns=COLUMNS, rows=len(shown)))
    if len(file) > LARGEST:
        raise ValueError(f"expected a picture of at most {LARGEST} bytes, got {len(file)}: draw fewer images")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file)


def one_stroke(rows: list[Row]) -> list[Row]:
    """Rows of adversaries on the same data, in the features of the same classifier (fresh images score the same)."""
    path = _record.RESULTS / f"{ONE_STROKE}.json"
    known = {(row["data"], row["floors"][0]["frechet"]) for row in rows}
    made: list[Row] = json.loads(path.read_text())["rows"] if path.exists() else []
    free = (row for row in made if "floors" in row and "right" not in row)  # of all classes, as the others
    return [row for row in free if (row["data"], row["floors"][0]["frechet"]) in known]


def plot(rows: list[Row], path: Path) -> None:
    """The golf curve: distance against strokes, with the floor of fresh images; adversaries at one stroke."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 4))
    for i, row in enumerate(row for row in rows if "golf" in row):
        points = [(r["strokes"], r["frechet"]) for r in row["golf"] if r["rule"].startswith("dpm")]
        axis.plot(*zip(*points, strict=True), "o-", color=f"C{i}", label=f"{row['data']}, {row['model']}")
        fresh = next(r["frechet"] for r in row["floors"] if r["rule"] == "fresh")
        axis.axhline(fresh, color=f"C{i}", linestyle=":", linewidth=1)
        for row_of_one in (r for r in one_stroke(rows) if r["data"] == row["data"]):
            axis.plot(1, row_of_one["frechet"], "*", color=f"C{i}", markersize=11)
            axis.annotate(row_of_one["model"], (1.08, row_of_one["frechet"]), fontsize=8, va="center")
    axis.set(xscale="log", yscale="log", xlabel="strokes", ylabel="Fréchet distance in a classifier's features")
    axis.set_xticks(STROKES, [str(k) for k in STROKES])
    axis.legend(title="dotted: fresh images")
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def report(rows: list[Row], jobs: list[str]) -> int:
    """Each job, run or not; 1 if a model is no nearer to the data than the Gaussian."""
    failed = 0
    for job in jobs:
        row = next((row for row in rows if f"{row['data']}-{row['model']}" == job), None)
        if row is None:
            print(f"     {job}: not run")
            continue
        floors = {r["rule"]: r["frechet"] for r in row["floors"]}
        drawn = [r for key in ("golf", "guidance") for r in row.get(key, ())]
        best = min(r["frechet"] for r in drawn)
        failed |= not best < floors["gaussian"] / 4
        print(f"{'ok  ' if best < floors['gaussian'] / 4 else 'MISS'} {job}: best {best}, floors {floors}")
    return failed


def run(job: str, steps: int, draws: int, pictures: Path) -> Row | None:
    """Train, judge, draw."""
    data = dataset(job.partition("-")[0])
    if data is None:
        return None
    model, row = trained(data, job, steps)
    picture(model, pictures / f"{job.replace('-', '_')}.png")
    judge = Judge(data, draws)
    row |= {"classifier": judge.classifier.name, "draws": draws, "floors": judge.floors()}
    if model.context_event is not None:
        return row | {"guidance": guided(model, judge)}
    if model.name() == "ddpm":
        row["bits"] = bits(model, judge)
    return row | {"golf": golf(model, judge)}


def main() -> int:
    """Train what is missing, draw, write, judge."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--jobs", default=",".join(JOBS), help="DATA-MODEL, with _conditional for class-conditional")
    options.add_argument("--steps", type=int, default=STEPS, help="of each fit")
    options.add_argument("--draws", type=int, default=DRAWS)
    asked = options.parse_args()
    torch.set_num_threads(1)
    jobs, whole = asked.jobs.split(","), (asked.steps, asked.draws) == (STEPS, DRAWS)
    rows = Rows(NAME, ("data", "model"), whole)
    pictures = PICTURES if whole else Path("runs") / NAME
    for job in jobs:
        source, _, name = job.partition("-")
        if not rows.has(data=source, model=name):
            row = run(job, asked.steps, asked.draws, pictures)
            if row is not None:
                rows.put(row)
    if any("golf" in row for row in rows.all()):
        plot(rows.all(), pictures / "golf.png")
    return report(rows.all(), jobs)


if __name__ == "__main__":
    sys.exit(main())
