"""Learning by a solver (counting, EM, SVD): start, then step until done, with the same log as gradient descent."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fairway.core.model import Model
from fairway.core.objective import Solver
from fairway.core.random import Rows, mix
from fairway.training import checkpoint
from fairway.training.batches import Batches, Table
from fairway.training.callbacks import Callback
from fairway.training.guard import Diverged
from fairway.training.history import History, Journal
from fairway.training.loop import _load
from fairway.training.plan import Plan

START = 14  # stream of the fit's seed


class Solve:
    """A solver's run over all rows at once.

    Args:
        model, solver: what learns and how.
        train: rows. plan: its steps bound the iterations; its budget bounds the time.
        callbacks, out: as in `loop.Run`.
    """

    def __init__(
        self,
        model: Model,
        solver: Solver,
        train: Table,
        plan: Plan,
        callbacks: Sequence[Callback] = (),
        out: Path | None = None,
    ) -> None:
        self.model, self.solver, self.plan, self.callbacks, self.out = model, solver, plan, list(callbacks), out
        self.batch = Batches(model, train, len(train), plan.seed).all()
        self.history, self.step, self._spent = History(), 0, 0.0

    def __iter__(self) -> Iterator["Solve"]:
        """Yield after every iteration."""
        journal = Journal(self.out and self.out / "metrics.jsonl", self.step)
        self.model.train()
        began = time.perf_counter() - self._spent
        if self.step == 0:
            rows = Rows(mix(self.plan.seed, START), len(self.batch), 0, self.model.dtype, self.model.device)
            self.solver.start(self.model, self.batch, rows)
        while not self._ended():
            row = self.solver.step(self.model, self.batch)
            self.step += 1
            self._spent = time.perf_counter() - began
            self._log({"step": self.step, "seconds": round(self._spent, 4), **row}, journal)
            yield self
        for callback in self.callbacks:
            callback.on_end(self)
        self.history.steps, self.history.seconds = self.step, time.perf_counter() - began
        self.model.eval()

    def _ended(self) -> bool:
        if self.solver.done():
            self.history.stopped = "converged"
        elif self.plan.steps is not None and self.step >= self.plan.steps:
            self.history.stopped = "all iterations taken"
        elif self.plan.budget is not None and self._spent > self.plan.budget:
            self.history.stopped = "the budget was spent"
        return bool(self.history.stopped)

    def _log(self, row: dict[str, Any], journal: Journal) -> None:
        loss = row.get("loss", 0.0)
        if loss != loss:
            raise Diverged(self.step, "loss", self.step - 1, self.model)
        self.history.rows.append(row)
        journal.append(row)
        if self.out and self.step % self.plan.checkpoint_every == 0:
            checkpoint.write(self.out / "training", self.state())
        for callback in self.callbacks:
            callback.on_step(self)
            callback.on_log(self, row)

    def state(self) -> checkpoint.Snapshot:
        """Everything the next iteration depends on."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"objective.{k}": v for k, v in self.solver.state_dict().items()}
        counters = {"step": self.step, "spent": self._spent, "rows": list(self.history.rows)}
        return {k: v.detach().clone() for k, v in tensors.items()}, counters

    def load_state(self, snapshot: checkpoint.Snapshot) -> None:
        """Go on from a snapshot."""
        tensors, counters = snapshot
        _load(self.model, "model.", tensors)
        _load(self.solver, "objective.", tensors)
        self.step, self._spent = int(counters["step"]), float(counters["spent"])
        self.history.rows = list(counters["rows"])
