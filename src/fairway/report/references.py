"""The rows every comparison carries, so that its numbers have a scale.

fresh real data    held-out rows against other held-out rows: the floor, which no model beats but by chance
training copy      rows of the training data as samples: what a memoriser reaches
gaussian           a fitted Gaussian: what means and covariances alone explain
independent        every entry by itself: what the marginals alone explain (of continuous data only samples, each
                   entry from a training row of its own, since their marginals have no density without a model)
"""

from typing import Any

import torch

from fairway.core.arrays import as_tensor
from fairway.core.random import generator_for
from fairway.data.dataset import Dataset
from fairway.report.row import Row
from fairway.report.worker import measure, train

ROWS = 41  # stream of the comparison's seed


def references(data: Dataset, held: Dataset, job: dict[str, Any]) -> list[tuple[Row, torch.Tensor | None]]:
    """(row, samples) of each reference, in order.

    Args:
        data, held: training and held-out rows.
        job: what every model is told (seed, draws, n).
    """
    n = job["n"]
    order = torch.randperm(len(data), generator=generator_for(job["seed"], ROWS))
    copied = data.x[order[torch.arange(n) % len(data)]]
    real = Row("fresh real data", "reference", protocol=held.protocol)
    copy = Row("training copy", "reference", protocol=held.protocol)
    alone = _fitted("independent", data, held, job) if data.event.counted else _shuffled(data, held, job)
    return [(real, held.x[:n]), (copy, copied), _fitted("gaussian", data, held, job), alone]


def _shuffled(data: Dataset, held: Dataset, job: dict[str, Any]) -> tuple[Row, torch.Tensor]:
    """Draws from the product of the marginals: every entry from a training row of its own."""
    flat, generator = data.x.flatten(1), generator_for(job["seed"], ROWS, 1)
    index = torch.randint(len(flat), (job["n"], flat.shape[1]), generator=generator)
    return Row("independent", "reference", protocol=held.protocol), flat.gather(0, index).reshape(-1, *data.x.shape[1:])


def _fitted(name: str, data: Dataset, held: Dataset, job: dict[str, Any]) -> tuple[Row, torch.Tensor | None]:
    """A reference that is a model; what it cannot fit is a failed row, not the end of the comparison."""
    try:
        model = train({**job, "model": name, "options": {}, "budget": None, "steps": None}, data, validation=0.0)
        row, samples = measure(name, model, held, None, job)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Row(name, "reference", "failed", reason, held.protocol), None
    row.kind, row.history = "reference", []
    return row, as_tensor(samples)
