"""The training loop: steps, not epochs; phases over players; one host sync per log window.

    for step in 0, 1, ...:
        for phase in objective.phases:                      (every k-th step, `times` fresh batches)
            loss = Step(model, objective)(batch, phase, noise(seed, step, phase, repeat))
            the player's optimiser: gradient of its own parameters, clip, move
        average the weights
        every so often: the monitor on held-out rows, under the averaged weights; keep the best, stop when it is old
        every window: check that all was finite, log, remember the last good state

Order and noise are functions of (seed, step), so `state` is all a resume needs.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fairway.core.model import Model
from fairway.core.objective import Objective, Optimisation, Phase, Step
from fairway.core.random import Rows, mix, seeded
from fairway.training import checkpoint
from fairway.training.batches import Batches, Table
from fairway.training.callbacks import Callback
from fairway.training.guard import Diverged, Window
from fairway.training.history import History, Journal
from fairway.training.monitor import Monitor
from fairway.training.optim import Average, Mover
from fairway.training.plan import Plan
from fairway.training.rehearse import on_threads, rehearsed

OVERRUN = 1.25  # a run may take this many times its budget before the clock ends it
LOSS, DROPOUT = 11, 12  # streams of the fit's seed


class Run:
    """Gradient descent of one stage. Iterate over it for a loop of your own; `fit` just exhausts it.

    Args:
        model: with fitted preprocessing, on its device.
        objective: set up for the model.
        train, held_out: rows; without held-out rows nothing is monitored.
        plan: how long.
        callbacks: see `callbacks`.
        out: run folder for the journal and the checkpoints.
        part: what moves as the player "model": the model itself, or a network inside it.
    """

    def __init__(
        self,
        model: Model,
        objective: Objective,
        train: Table,
        held_out: Table | None,
        plan: Plan,
        callbacks: Sequence[Callback] = (),
        out: Path | None = None,
        part: nn.Module | None = None,
    ) -> None:
        self.model, self.objective, self.plan, self.callbacks, self.out = model, objective, plan, list(callbacks), out
        self.batches = Batches(model, train, plan.batch_size, plan.seed)
        self.monitor = Monitor.of(model, objective, held_out, plan)
        self.phases = list(objective.phases(model))
        self.step_module = Step(model, objective)
        self.movers = self._movers(part)
        self.average = Average(model, self._how("model").ema)
        self.history = History(monitor=self.monitor.name if self.monitor else None)
        self.step, self._spent, self._origin, self._lr = 0, 0.0, time.perf_counter(), 0.0
        self._drops = _drops(self.step_module)
        self._window = Window()
        self._best: dict[str, Tensor] = {}  # replaced, never changed in place: snapshots share it
        self._stale, self._saved = 0, 0
        self._good: checkpoint.Snapshot | None = None

    def _movers(self, part: nn.Module | None) -> dict[str, Mover]:
        """An optimiser for every player that moves."""
        players = dict(self.objective.players(self.model))
        if part is not None:
            players["model"] = part
        names = dict.fromkeys(phase.player for phase in self.phases)
        return {name: Mover(players[name], self._how(name)) for name in names}

    def _how(self, player: str) -> Optimisation:
        own = getattr(self.model, "optimisation", None) if player == "model" else None
        how: Optimisation = own or self.objective.optimisation_of(player)
        return how if self.plan.lr is None else replace(how, lr=self.plan.lr)

    # -- the loop -----------------------------------------------------------------------------------------------
    def __iter__(self) -> Iterator["Run"]:
        """Yield after every step; the best weights are in the model at the end, also where the loop is left early."""
        self._journal = Journal(self.out and self.out / "metrics.jsonl", self.step, self.plan.stage)
        self._origin = time.perf_counter() - self._spent
        self.model.train()
        with on_threads(self.plan.threads) if self.plan.steps else rehearsed(self):
            self._good = self._good or self.state()
            try:
                while not self.history.stopped:
                    self._take_step()
                    self._after_step()
                    yield self
            except GeneratorExit:
                self.history.stopped = self.history.stopped or "the loop was left"
                self._finish()
                raise
            self._finish()

    def _take_step(self) -> None:
        with seeded(mix(self.plan.seed, DROPOUT, self.step)) if self._drops else nullcontext():
            for index, phase in enumerate(self.phases):
                if self.step % phase.every == 0:
                    for repeat in range(phase.times):
                        self._move(phase, mix(self.plan.seed, LOSS, self.step, index, repeat))
        self.average.update(self.step)
        self.step += 1

    def _move(self, phase: Phase, seed: int) -> None:
        if phase.before:
            phase.before(self.model)
        batch, mover = self.batches.next(), self.movers[phase.player]
        loss = self.step_module(batch, phase, Rows(seed, len(batch), 0, self.model.dtype, self.model.device))
        self._lr = mover.set_lr(self.step, self.plan.steps)
        norm = mover.move(loss.total)
        if phase.after:
            phase.after(self.model)
        self._window.add(self.step, phase.player, loss.total, loss.terms, norm)

    def _after_step(self) -> None:
        for callback in self.callbacks:
            callback.on_step(self)
        if self.step == self.plan.steps:
            self.history.stopped = "all steps taken"
        if self.monitor and self._due(self.plan.evaluate_every):
            self._evaluate()
        self._watch_the_clock()
        if self._due(self.plan.log_every):
            self._log()
            self._remember()

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or bool(self.history.stopped)

    # -- time ---------------------------------------------------------------------------------------------------
    def _tick(self) -> float:
        """Seconds spent so far, in this process and before a resume."""
        self._spent = time.perf_counter() - self._origin
        return self._spent

    def _watch_the_clock(self) -> None:
        """A machine that slowed down after the measurement must not overrun the budget by much."""
        budget = self.plan.budget
        if budget and self._tick() > OVERRUN * budget and not self.history.stopped:
            self.history.stopped = "the budget was spent"
            self.plan.steps = self.step

    # -- log, evaluate, remember --------------------------------------------------------------------------------
    def _check(self) -> None:
        """Look at the moves since the last check: the one host sync of a window."""
        bad = self._window.check()
        if bad is not None:
            self._retreat(*bad)

    def _log(self) -> None:
        self._check()
        row = {"step": self.step, "seconds": round(self._tick(), 4), "lr": self._lr}
        row |= self._window.means() | self.model.health()
        self._record(row)
        for callback in self.callbacks:
            callback.on_log(self, row)

    def _record(self, row: dict[str, Any]) -> None:
        self.history.add(row)
        self._journal.append(row)

    def _evaluate(self) -> None:
        assert self.monitor is not None
        self._check()
        with self.evaluated():
            value = self.monitor()
            if value < self.history.best:
                self.history.best, self.history.best_step, self._stale = value, self.step, 0
                self._best = checkpoint.copies(self.model.state_dict())
            else:
                self._stale += 1
        self._record({"step": self.step, "seconds": round(self._tick(), 4), "monitor": value})
        if self._stale > self.plan.patience and not self.history.stopped:
            self.history.stopped = f"no improvement in {self._stale} evaluations"
        for callback in self.callbacks:
            callback.on_evaluate(self, value)

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """Within, the model is in eval mode with its averaged weights."""
        self.model.eval()
        try:
            with self.average.applied():
                yield
        finally:
            self.model.train()

    def _remember(self) -> None:
        """Keep this state as the last good one; on disk, too, when a checkpoint is due."""
        into = self._good[0] if self._good else None
        self._good = (checkpoint.copies(self._moving(), into) | self._kept(), self._counters())
        if self.out and (self.step - self._saved >= self.plan.checkpoint_every or self.history.stopped):
            checkpoint.write(self.out, self._good)
            self._saved = self.step

    def _retreat(self, step: int, term: str) -> None:
        """Put the last good state back and stop."""
        self.load_state(self._good or self.state())
        self.history.stopped = f"diverged at step {step}"
        self._finish()
        raise Diverged(step, term, self.history.best_step if self._best else self.step, self.model)

    def _finish(self) -> None:
        """Leave the best weights in the model; without a monitor, the averaged ones."""
        for callback in self.callbacks:
            callback.on_end(self)
        self.history.steps, self.history.seconds = self.step, self._tick()
        self.history.evaluate_every = self.plan.evaluate_every
        self.history.threads, self.history.planned = torch.get_num_threads(), self.plan.steps or self.step
        if self._best:
            self.model.load_state_dict(self._best)
        else:
            self.average.settle()
        self.model.eval()

    # -- state --------------------------------------------------------------------------------------------------
    def state(self) -> checkpoint.Snapshot:
        """A copy of everything the next step depends on."""
        return checkpoint.copies(self._moving()) | self._kept(), self._counters()

    def _moving(self) -> dict[str, Tensor]:
        """Tensors that the next step changes."""
        tensors = checkpoint.module_tensors("model", self.model)
        tensors |= checkpoint.module_tensors("objective", self.objective)
        tensors |= {f"average.{name}": value for name, value in self.average.shadow.items()}
        for name, mover in self.movers.items():
            tensors |= checkpoint.optimiser_tensors(name, mover.optimiser)
        return tensors

    def _kept(self) -> dict[str, Tensor]:
        """Tensors that are replaced rather than changed."""
        return {f"best.{name}": value for name, value in self._best.items()}

    def _counters(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "drawn": self.batches.drawn,
            "spent": self._spent,
            "stale": self._stale,
            "best": self.history.best,
            "best_step": self.history.best_step,
            "stopped": self.history.stopped,
            "plan": self.plan.to_dict(),
        }

    def load_state(self, snapshot: checkpoint.Snapshot) -> None:
        """Go back (or on) to a snapshot; the log forgets what came after it."""
        tensors, counters = snapshot
        checkpoint.load_module("model", self.model, tensors)
        checkpoint.load_module("objective", self.objective, tensors)
        for name, mover in self.movers.items():
            checkpoint.load_optimiser(name, mover.optimiser, tensors)
        self.average.shadow = {name: tensors[f"average.{name}"].clone() for name in self.average.shadow}
        self._best = {k.removeprefix("best."): v.clone() for k, v in tensors.items() if k.startswith("best.")}
        self.step, self.batches.drawn = int(counters["step"]), int(counters["drawn"])
        self._spent, self._stale, self._saved = float(counters["spent"]), int(counters["stale"]), self.step
        self.plan = Plan(**counters["plan"])
        self.history.best, self.history.best_step = float(counters["best"]), int(counters["best_step"])
        self.history.stopped = str(counters["stopped"])
        self.history.forget_after(self.step)
        self._window = Window()
        self._good = self.state()


def _drops(module: nn.Module) -> bool:
    """Whether any layer draws from the global generator, which is then seeded at every step."""
    return any(isinstance(m, nn.modules.dropout._DropoutNd) for m in module.modules())
