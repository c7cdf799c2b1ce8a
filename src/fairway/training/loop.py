"""The training loop: steps, not epochs; phases over players; one host sync per log window.

    for step in 0, 1, ...:
        for phase in objective.phases:                      (every k-th step, `times` fresh batches)
            loss = engine.loss(batch, phase, noise(seed, step, phase, repeat))
            the player's optimiser: gradient of its own parameters, clip, move
        average the weights
        every so often: the monitor on held-out rows, under the averaged weights; keep the best, stop when it is old
        every window: check that all was finite, log, remember the last good state

Order and noise are functions of (seed, step), so a `snapshot` is all a resume needs. A signal (Ctrl-C, SIGTERM) ends
the run after the step it came in, with a checkpoint. Several processes take the same decisions: what a clock, a signal
or a loss said to one of them is what it says to all.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fairway.core import parallel
from fairway.core.model import Model
from fairway.core.objective import Objective, Phase, Step
from fairway.core.random import Rows, mix, seeded
from fairway.samplers.driver import ChainError
from fairway.training import checkpoint, snapshot
from fairway.training.batches import Batches, Table
from fairway.training.callbacks import Callback
from fairway.training.engine import engine_of
from fairway.training.guard import Diverged, Window, not_finite
from fairway.training.history import History, Journal
from fairway.training.interrupt import Interrupted, Signals, interruptible
from fairway.training.log import logger
from fairway.training.monitor import Monitor, Watch
from fairway.training.optim import Average
from fairway.training.plan import Plan
from fairway.training.players import counterpart, drops, how, movers
from fairway.training.rehearse import rehearsed
from fairway.training.rules import RULES, Move

OVERRUN = 1.25  # a run may take this many times its budget before the clock ends it
FAILURES = (torch.linalg.LinAlgError, ChainError)  # how numbers that left their scale may show
LISTEN = 10  # steps after which several processes ask each other for signals
LOSS, DROPOUT = 11, 12  # streams of the fit's seed


class _Move:
    """One player's move: a loss on a batch of its own, its gradient, a step of the player's optimiser."""

    def __init__(self, run: "Run", phase: Phase, seed: int) -> None:
        self.run, self.phase, self.seed = run, phase, seed
        self.mover, self.batch = run.movers[phase.player], run.batches.next()
        self.parameters = self.mover.parameters

    def gradients(self) -> None:
        """Of the loss at the parameters as they stand."""
        run = self.run
        if self.phase.before:
            self.phase.before(run.model)
        self.loss = run.engine.loss(self.batch, self.phase, run._noise(self.seed, len(self.batch)))
        run._lr = self.mover.set_lr(run.step, run.plan.steps)
        run.engine.gradients(self.loss.total, self.parameters)

    def step(self) -> None:
        """Along the gradients."""
        norm = self.mover.move()
        if self.phase.after:
            self.phase.after(self.run.model)
        self.run._window.add(self.run.step, self.phase.player, self.loss.total, self.loss.terms, norm)


class Run:
    """Gradient descent of one stage. Iterate over it for a loop of your own; `fit` just exhausts it.

    Args:
        model: with fitted preprocessing, on its device.
        objective: set up for the model.
        train, held_out: rows; without held-out rows nothing is monitored.
        plan: how long, and on what.
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
        self.plan, self.out, self.callbacks = plan, out, [c for c in callbacks if c.everywhere or self.leads]
        self.engine = engine_of(Step(model, objective), plan.parallel)
        self.model, self.objective = self.engine.step.model, self.engine.step.objective
        self.batches = Batches(model, train, plan.batch_size, plan.seed, (parallel.rank(), parallel.size()))
        self.monitor = Monitor.of(self.model, self.objective, held_out, plan)
        self.watch = Watch(self.objective.watched, self.model, self.batches, plan.seed)
        self.phases = list(self.objective.phases(self.model))
        self.movers = movers(self.model, self.objective, self.phases, counterpart(part, model, self.model), plan.lr)
        self.engine.wrap({name: mover.parameters for name, mover in self.movers.items()})
        self.average = Average(self.model, how(self.model, self.objective, "model").ema)
        self.history = History(monitor=self.monitor.name if self.monitor else None)
        self.step, self.stale, self.spent = 0, 0, 0.0
        self.best: dict[str, Tensor] = {}  # replaced, never changed in place: snapshots share it
        self._origin, self._lr, self._saved = time.perf_counter(), 0.0, 0
        self._drops = drops(self.engine.step)
        self._place = {"dtype": self.model.dtype, "device": self.model.device, "shared_by": parallel.size()}
        self._window = Window()
        self._good: checkpoint.Snapshot | None = None
        self._finding: str | None = None
        self._said = False

    @property
    def leads(self) -> bool:
        """Whether this process writes and prints: the first of several, or the only one."""
        return parallel.rank() == 0

    # -- the loop -----------------------------------------------------------------------------------------------
    def __iter__(self) -> Iterator["Run"]:
        """Yield after every step; the best weights are in the model at the end, also where the loop is left early.

        Raises:
            Interrupted: a signal asked to stop; the checkpoint is written.
            Diverged: the loss or a gradient left the finite numbers.
        """
        self._journal = Journal(self._path("metrics.jsonl"), self.step, self.plan.stage)
        self._origin = parallel.clock() - self.spent
        self.model.train()
        with interruptible() as signals, rehearsed(self):
            self._good = self._good or self.state()
            try:
                while not self.history.stopped:
                    try:
                        self._take_step()
                    except FAILURES as error:
                        self._blame(error)
                    self._after_step()
                    self._listen(signals)
                    with signals.resting():
                        yield self
            except (Diverged, Interrupted):
                raise
            except BaseException as error:
                self._abandon(error)
                raise
            self._finish()

    def _take_step(self) -> None:
        if self.plan.steps:
            self.objective.reach(self.step / self.plan.steps)
        with seeded(mix(self.plan.seed, DROPOUT, self.step)) if self._drops else nullcontext():
            RULES[self.objective.rule](self._moves())
        self.average.update(self.step)
        self.step += 1

    def _moves(self) -> Iterator[Move]:
        """The moves of this step, in the order of the phases."""
        for index, phase in enumerate(self.phases):
            if self.step % phase.every == 0:
                for repeat in range(phase.times):
                    yield _Move(self, phase, mix(self.plan.seed, LOSS, self.step, index, repeat))

    def _noise(self, seed: int, n: int) -> Rows:
        """The noise of this process's rows of a batch."""
        return Rows(seed, n, n * self.batches.rank, **self._place)

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

    # -- time and signals ---------------------------------------------------------------------------------------
    def _tick(self) -> float:
        """Seconds spent so far, in this process and before a resume."""
        self.spent = parallel.clock() - self._origin
        return self.spent

    def _watch_the_clock(self) -> None:
        """A machine that slowed down after the measurement must not overrun the budget by much."""
        budget = self.plan.budget
        if budget and self._tick() > OVERRUN * budget and not self.history.stopped:
            self.history.stopped = "the budget was spent"
            self.plan.steps = self.step

    def _listen(self, signals: Signals) -> None:
        """Leave between two steps where a signal asked for it, with a checkpoint that a resume goes on from."""
        if parallel.together() and self.step % LISTEN == 0:
            signals.asked = parallel.first_said(signals.asked)
        if not signals.asked or self.history.stopped or (parallel.together() and self.step % LISTEN):
            return
        self._log()
        self._remember()
        if self._saved < self.step:
            self._write()
        self.history.stopped = f"stopped by {signals.asked}"
        self._finish()
        raise Interrupted(signals.asked, self.step, self.out, self.engine.given)

    # -- log, evaluate, remember --------------------------------------------------------------------------------
    def _check(self) -> None:
        """Look at the moves since the last check, and at the weights that they left."""
        bad = self._window.check()
        if bad is None:
            name = not_finite(self._moved())
            bad = None if name is None else (max(self.step - 1, 0), name)
        if bad is not None:
            self._retreat(*bad)

    def _blame(self, error: Exception) -> None:
        """A failure of the numerics after steps that worked is a divergence; before any, it is what it says."""
        self._check()
        if self.step == 0:
            raise error
        self._retreat(self.step, f"{type(error).__name__} ({str(error)[:80]})")

    def _moved(self) -> dict[str, Tensor]:
        """The parameters of every player, by player and number or by their name in the model."""
        named = {id(p): name for name, p in self.engine.step.named_parameters()}
        pairs = [(player, i, p) for player, mover in self.movers.items() for i, p in enumerate(mover.parameters)]
        return {named.get(id(p), f"{player}.{i}"): p for player, i, p in pairs}

    def _log(self) -> None:
        self._check()
        row = {"step": self.step, "seconds": round(self._tick(), 4), "lr": self._lr}
        means = self._window.means()
        if (lost := self.objective.lost(means)) is not None:
            self._retreat(self.step, lost.split()[0], lost)
        row |= means | self._health()
        self._record(row)
        self._say(self.objective.diagnose(means))
        for callback in self.callbacks:
            callback.on_log(self, row)

    def _health(self) -> dict[str, float]:
        """What the model says of itself and what is watched, at the first row of the log since an evaluation was due:
        it costs as much."""
        if self.step % max(self.plan.evaluate_every, 1) >= self.plan.log_every and not self.history.stopped:
            return {}
        with self.engine.whole():
            health = self.model.health()
        if self.watch.metric is None:
            return health
        with self.evaluated():
            return health | self.watch()

    def _say(self, finding: str | None) -> None:
        """A diagnosis that holds for two rows of the log running, once."""
        if finding and self._finding and self.leads and not self._said:
            logger.warning("step %d: %s", self.step, finding)
            self._said = True
        self._finding = finding

    def _record(self, row: dict[str, Any]) -> None:
        self.history.add(row)
        self._journal.append(row)

    def _evaluate(self) -> None:
        assert self.monitor is not None
        self._check()
        with self.evaluated():
            value = self.monitor()
            if value < self.history.best:
                self.history.best, self.history.best_step, self.stale = value, self.step, 0
                self.best = checkpoint.copies(self.model.state_dict())
            else:
                self.stale += 1
        self._record({"step": self.step, "seconds": round(self._tick(), 4), "monitor": value})
        if self.stale > self.plan.patience and self.objective.stops_early and not self.history.stopped:
            self.history.stopped = f"no improvement in {self.stale} evaluations"
        for callback in self.callbacks:
            callback.on_evaluate(self, value)

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """Within, the model is in eval mode with its averaged weights."""
        self.model.eval()
        try:
            with self.average.applied(), self.engine.whole():
                yield
        finally:
            self.model.train()

    def _remember(self) -> None:
        """Keep this state as the last good one; on disk, too, when a checkpoint is due."""
        self._good = snapshot.take(self, self._good)
        if self.step - self._saved >= self.plan.checkpoint_every or self.history.stopped:
            self._write()

    def _write(self) -> None:
        """Put the last good state on disk."""
        if self.out and self._good:
            whole = self.engine.full(self._good[0])
            if self.leads:
                checkpoint.write(self.out, (whole, self._good[1]))
            self._saved = self.step

    def _path(self, name: str) -> Path | None:
        return self.out / name if self.out and self.leads else None

    def _retreat(self, step: int, term: str, why: str | None = None) -> None:
        """Put the last good state back, on disk, too, and stop."""
        saved = self._saved
        self.load_state(self._good or self.state())
        if self.step > saved:
            self._write()
        self.history.stopped = f"diverged at step {step}"
        self._finish()
        raise Diverged(step, term, self.history.best_step if self.best else self.step, self.engine.given, self.out, why)

    def _abandon(self, error: BaseException) -> None:
        """The loop was left early, or something failed: the best weights so far are in the model all the same."""
        why = "the loop was left" if isinstance(error, GeneratorExit) else f"ended by {type(error).__name__}"
        self.history.stopped = self.history.stopped or why
        if isinstance(error, GeneratorExit) or not parallel.together():  # others may not be there to hand over shares
            self._finish()

    def _finish(self) -> None:
        """Leave the best weights in the model; without a monitor, the averaged ones."""
        for callback in self.callbacks:
            callback.on_end(self)
        self.history.steps, self.history.seconds = self.step, self._tick()
        self.history.evaluate_every = self.plan.evaluate_every
        self.history.threads, self.history.planned = torch.get_num_threads(), self.plan.steps or self.step
        self.history.compiled, self.history.precision = bool(self.plan.compile), self.plan.precision
        if self.best:
            self.model.load_state_dict(self.best)
        else:
            self.average.settle()
        self.engine.end()
        self.engine.given.eval()

    # -- state --------------------------------------------------------------------------------------------------
    def state(self) -> checkpoint.Snapshot:
        """A copy of everything the next step depends on."""
        return snapshot.take(self)

    def load_state(self, state: checkpoint.Snapshot) -> None:
        """Go back (or on) to a snapshot."""
        snapshot.put_back(self, state)
        self._saved, self._window = self.step, Window()
        self._good = self.state()
