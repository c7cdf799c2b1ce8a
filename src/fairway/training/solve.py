"""Learning by a solver (counting, EM, SVD): start, then step until done, with the same log as gradient descent.

A solver's step is a pass over all rows and logs the loss of the parameters it found, before it improves them. The
state before the last finite loss is kept: a solver that leaves the finite numbers is put back to it.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from fairway.core import parallel
from fairway.core.model import Model
from fairway.core.objective import Batch, Solver
from fairway.core.random import Rows, mix
from fairway.training import checkpoint
from fairway.training.batches import Batches, Table
from fairway.training.callbacks import Callback
from fairway.training.guard import Diverged
from fairway.training.history import History, Journal
from fairway.training.interrupt import Interrupted, Signals, interruptible
from fairway.training.plan import Plan

START = 14  # stream of the fit's seed
CHECKPOINT_SECONDS = 30.0  # iterations over many rows may be slow: at least one checkpoint in this time


class Solve:
    """A solver's run over all rows at once. Iterate over it for a loop of your own.

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
        self.model, self.solver, self.plan, self.out = model, solver, plan, out
        self._leads = parallel.rank() == 0
        self.callbacks = [c for c in callbacks if c.everywhere or self._leads]
        self.batch = Batches(model, train, len(train), plan.seed).all()
        self.share = _share(self.batch)
        self.history, self.step, self._spent, self._origin = History(), 0, 0.0, parallel.clock()
        self._saved, self._saved_at = 0, parallel.clock()
        self._good: checkpoint.Snapshot | None = None

    def __iter__(self) -> Iterator["Solve"]:
        """Yield after every iteration; the model is in eval mode at the end, also where the loop is left early."""
        path = self.out / "metrics.jsonl" if self.out and self._leads else None
        self._journal = Journal(path, self.step, self.plan.stage)
        self.model.train()
        self._origin = parallel.clock() - self._spent
        if self.step == 0:
            self._start()
        try:
            with interruptible() as signals:
                while not self._ended():
                    row = self._take_step()
                    self._after_step({"step": self.step, "seconds": round(self._tick(), 4), **row})
                    self._listen(signals)
                    with signals.resting():
                        yield self
        except (Diverged, Interrupted):
            raise
        except BaseException as error:
            left = isinstance(error, GeneratorExit)
            self.history.stopped = "the loop was left" if left else f"ended by {type(error).__name__}"
            self._finish(save=left)
            raise
        self._finish()

    def _start(self) -> None:
        rows = Rows(mix(self.plan.seed, START), len(self.batch), 0, self.model.dtype, self.model.device)
        before = self.state()
        try:
            self.solver.start(self.model, self.batch, rows)
        except torch.linalg.LinAlgError as error:
            self._retreat(f"matrix ({str(error)[:80]})", before)

    def _take_step(self) -> dict[str, float]:
        """One iteration, or a retreat to the state before the last good one."""
        before = self.state()
        try:
            row = self.solver.step(self.model, self.share)
        except torch.linalg.LinAlgError as error:
            self._retreat(f"matrix ({str(error)[:80]})", before)
        if not math.isfinite(row.get("loss", 0.0)):
            self._retreat("loss", before)
        broken = [name for name, value in self.model.named_parameters() if bool(value.isnan().any())]
        if broken:
            self._retreat(broken[0], before)
        self._good = before
        self.step += 1
        return row

    def _retreat(self, term: str, before: checkpoint.Snapshot) -> None:
        step, good = self.step, self._good or before
        self.load_state(good)
        if self.step:  # what was saved since may hold what led here
            self._save()
        self.history.stopped = f"diverged at step {step}"
        self._finish()
        raise Diverged(step, term, self.step, self.model, self.out)

    def _listen(self, signals: Signals) -> None:
        """Leave between two iterations where a signal asked for it, with a checkpoint that a resume goes on from."""
        asked = parallel.first_said(signals.asked)
        if asked and not self._ended():
            self._save()
            self.history.stopped = f"stopped by {asked}"
            self._finish()
            raise Interrupted(asked, self.step, self.out, self.model)

    def _tick(self) -> float:
        """Seconds spent so far, in this process and before a resume."""
        self._spent = parallel.clock() - self._origin
        return self._spent

    def _ended(self) -> bool:
        if self.solver.done():
            self.history.stopped = "converged"
        elif self.plan.steps is not None and self.step >= self.plan.steps:
            self.history.stopped = "all iterations taken"
        elif self.plan.budget is not None and self._spent > self.plan.budget:
            self.history.stopped = "the budget was spent"
        return bool(self.history.stopped)

    def _after_step(self, row: dict[str, Any]) -> None:
        self.history.add(row)
        self._journal.append(row)
        for callback in self.callbacks:
            callback.on_step(self)
            callback.on_log(self, row)
        late = parallel.clock() - self._saved_at > CHECKPOINT_SECONDS
        if self.step - self._saved >= self.plan.checkpoint_every or late:
            self._save()

    def _save(self) -> None:
        if self.out and self._leads:
            checkpoint.write(self.out, self.state())
        self._saved, self._saved_at = self.step, parallel.clock()

    def _finish(self, save: bool = True) -> None:
        if save and self.step > self._saved:
            self._save()
        for callback in self.callbacks:
            callback.on_end(self)
        self.history.steps, self.history.seconds = self.step, self._tick()
        self.model.eval()

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """Within, the model is in eval mode."""
        self.model.eval()
        try:
            yield
        finally:
            self.model.train()

    def state(self) -> checkpoint.Snapshot:
        """A copy of everything the next iteration depends on."""
        tensors = checkpoint.module_tensors("model", self.model)
        tensors |= checkpoint.module_tensors("objective", self.solver)
        return checkpoint.copies(tensors), {"step": self.step, "spent": self._spent, "plan": self.plan.to_dict()}

    def load_state(self, snapshot: checkpoint.Snapshot) -> None:
        """Go back (or on) to a snapshot; the log forgets what came after it."""
        tensors, counters = snapshot
        checkpoint.load_module("model", self.model, tensors)
        checkpoint.load_module("objective", self.solver, tensors)
        self.step, self._spent, self._saved = int(counters["step"]), float(counters["spent"]), int(counters["step"])
        self.history.forget_after(self.step)


def _share(batch: Batch) -> Batch:
    """This process's rows of all rows: what a solver sums over them, it sums over processes."""
    if not parallel.together():
        return batch
    n, rank, world = len(batch), parallel.rank(), parallel.size()
    rows = slice(n * rank // world, n * (rank + 1) // world)
    parts = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return replace(batch, **{name: part[rows] for name, part in parts.items() if part is not None})
