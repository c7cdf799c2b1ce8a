"""One model of a comparison in a process of its own: ``python -m fairway.report.worker JOB.json``.

    job.json     model, options, event, files of the rows (.npy), budget, steps, seed, out (run folder), folder
    folder/      result.json (a `Row` without what is judged later), samples.npy, state (a word for the progress bar)

A process of its own makes peak memory mean something, keeps one model's threads, caches and seeds from the next, and
turns a crash into a row that says why. Everything judged from samples is left to the parent, which judges all rows
and the references by the same code.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fairway.core.config import from_json
from fairway.core.event import Event
from fairway.core.random import mix
from fairway.data.dataset import Dataset
from fairway.metrics import cost
from fairway.metrics.evaluate import evaluate
from fairway.report.held_out import record
from fairway.report.row import Row
from fairway.training.files import write_json
from fairway.training.fit import fit

DRAW, BOUND, TIME = 31, 32, 33  # streams of the comparison's seed


def run(job: dict[str, Any]) -> Row:
    """Train, evaluate and draw; leaves result.json and samples.npy in the job's folder."""
    folder = Path(job["folder"])
    data, context = _dataset(job, "train"), _context(job, "train")
    (folder / "state").write_text("training")
    model = train(job, data, context, out=job["out"])
    torch.set_num_threads(model.history.threads or torch.get_num_threads())  # what its training measured to be best
    if job["part"] is not None:
        record(job["out"], **job["part"])
    (folder / "state").write_text("measuring")
    row, samples = measure(job["label"], model, _dataset(job, "held_out"), _context(job, "held_out"), job)
    row.memory, row.configuration = cost.peak_memory(), {"model": job["model"], **job["options"]}
    np.save(folder / "samples.npy", samples.numpy())
    write_json(folder / "result.json", row.to_dict())
    return row


def train(job: dict[str, Any], data: Dataset, context: Any = None, **options: Any) -> Any:
    """`fit` as the job asks."""
    extra = {key: from_json(value) for key, value in job["options"].items()}
    return fit(
        job["model"], data, context=context, steps=job["steps"], budget=job["budget"], seed=job["seed"],
        progress=False, **options, **extra,
    )  # fmt: skip


def measure(name: str, model: Any, held: Dataset, context: Any, job: dict[str, Any]) -> tuple[Row, torch.Tensor]:
    """Everything the model alone can say, and its samples (n, *E): one per held-out context, or `job["n"]`."""
    seed = job["seed"]
    likelihood = evaluate(model, held, context, samples=job["draws"], seed=mix(seed, BOUND))
    one = None if context is None else context[0]
    drawn = model.draw(job["n"] if context is None else 1, context=_first(context, job["n"]), generator=mix(seed, DRAW))
    samples = drawn.samples if context is None else drawn.samples[:, 0]
    history = model.history
    row = Row(
        name,
        protocol=held.protocol,
        likelihood=likelihood.to_dict(),
        strokes=float(drawn.evaluations),
        parameters=cost.parameters(model),
        training_seconds=history.seconds,
        steps=history.steps,
        seconds_per_1000=cost.seconds_per_1000(model, context=one, generator=mix(seed, TIME)),
        history=history.rows,
        stopped=history.stopped,
    )
    return row, samples.cpu()


def _first(context: Any, n: int) -> Any:
    return None if context is None else context[:n]


def _dataset(job: dict[str, Any], part: str) -> Dataset:
    """The rows of one part under the job's event, still known by the name of their source."""
    x = torch.from_numpy(np.load(job[part], allow_pickle=False))
    data = job["data"]
    return Dataset(
        x, Event.from_dict(data["event"]), name=data["name"], source=data["source"], protocol=data["protocol"],
        options=data["options"],
    )  # fmt: skip


def _context(job: dict[str, Any], part: str) -> torch.Tensor | None:
    path = job.get(f"{part}_context")
    return None if path is None else torch.from_numpy(np.load(path, allow_pickle=False))


def main(path: str) -> None:
    """Run the job in a file; an error ends the process and stands last on its error stream."""
    run(json.loads(Path(path).read_text()))


if __name__ == "__main__":
    main(sys.argv[1])
