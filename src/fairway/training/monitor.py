"""The held-out number that stops a run early and picks its best weights, and one on training rows that is only told.

An objective names it: "loss" is the objective's own loss on held-out rows with noise that never changes; any other
name is looked up among the metrics ("nll", "sliced_wasserstein"), which see data units. What an objective wants watched
is such a metric, too: a generator that forgets a mode has no loss that says so.
"""

from typing import Any

import torch

from fairway.core.model import Model
from fairway.core.objective import Objective, Phase, Step
from fairway.core.random import Rows, mix
from fairway.metrics.registry import metrics
from fairway.samplers.driver import ChainError
from fairway.training.batches import Batches, Table
from fairway.training.plan import Plan

ROWS = 1_000  # held-out rows a monitor looks at
FEW = 250  # training rows that are watched
MONITOR = 13  # stream of the fit's seed


class Monitor:
    """A function of the model as it stands, lower is better.

    Args:
        name: "loss" or a metric's registry name.
        held_out: rows kept away from training.
    """

    def __init__(self, name: str, model: Model, objective: Objective, held_out: Table, plan: Plan) -> None:
        self.name, self.model, self.seed = name, model, mix(plan.seed, MONITOR)
        self._step = Step(model, objective)
        self.table = held_out.rows(torch.arange(min(ROWS, len(held_out))))
        self.batch = Batches(model, self.table, plan.batch_size, self.seed).all()

    @classmethod
    def of(cls, model: Model, objective: Objective, held_out: Table | None, plan: Plan) -> "Monitor | None":
        """The monitor the objective asks for, where there are held-out rows."""
        name = getattr(model, "monitor", None) or objective.monitor
        if held_out is None or name is None:
            return None
        return cls(name, model, objective, held_out, plan)

    @torch.no_grad()
    def __call__(self) -> float:
        """The value now; NaN counts as infinitely bad."""
        try:
            value = self._loss() if self.name == "loss" else self._metric()
        except ChainError:  # chains that ran away say as much as a NaN
            return float("inf")
        return value if value == value else float("inf")

    def _loss(self) -> float:
        rows = Rows(self.seed, len(self.batch), 0, self.model.dtype, self.model.device)
        return float(self._step(self.batch, Phase(), rows).total)

    def _metric(self) -> float:
        metric: Any = metrics[self.name]
        return float(metric(self.model, self.table.x, self.table.context, generator=self.seed))


class Watch:
    """The metric that an objective wants watched, as a row of the log has it: {name of the function: value}.

    Args:
        name: registry name of the metric, None for nothing.
        batches: whose first rows are compared with draws.
    """

    def __init__(self, name: str | None, model: Model, batches: Batches, seed: int) -> None:
        self.metric: Any = None if name is None else metrics[name]
        self.model, self.batches, self.seed = model, batches, mix(seed, MONITOR)

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        """The value now; nothing where it is no number."""
        if self.metric is None:
            return {}
        x, context = self.batches.rows(FEW)
        value = float(self.metric(self.model, x, context, generator=self.seed))
        return {self.metric.__name__: value} if value == value else {}
