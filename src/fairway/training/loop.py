"""The training loop: steps, not epochs; phases over players; one host sync per log window.

    for step in 0, 1, ...:
        for phase in objective.phases:                      (every k-th step, `times` fresh batches)
            loss = Step(model, objective)(batch, phase, noise(seed, step, phase, repeat))
            the player's optimiser: gradient of its own parameters, clip, move
        average the weights; every window: log, check that all was finite, remember the last good state
        every so often: the monitor on held-out rows, under the averaged weights; keep the best, stop when it is old

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
from fairway.training.guard import Diverged, Guard
from fairway.training.history import History, Journal
from fairway.training.monitor import Monitor
from fairway.training.optim import Average, Mover
from fairway.training.plan import Plan

LOSS, DROPOUT = 11, 12  # streams of the fit's seed
CALIBRATION = 20  # steps timed before a budget buys the rest


class Run:
    """Gradient descent of one stage. Iterate over it for a loop of your own; `fit` just exhausts it.

    Args:
        model: with fitted preprocessing, on its device.
        objective: set up for the model.
        train, held_out: rows; without held-out rows nothing is monitored.
        plan: how long.
        lr: overrides every player's learning rate.
        callbacks: see `callbacks`.
        out: run folder for the journal and the checkpoints.
    """

    def __init__(
        self,
        model: Model,
        objective: Objective,
        train: Table,
        held_out: Table | None,
        plan: Plan,
        lr: float | None = None,
        callbacks: Sequence[Callback] = (),
        out: Path | None = None,
    ) -> None:
        self.model, self.objective, self.plan, self.callbacks, self.out = model, objective, plan, list(callbacks), out
        self.batches = Batches(model, train, plan.batch_size, plan.seed)
        self.monitor = Monitor.of(model, objective, held_out, plan)
        self.phases = list(objective.phases(model))
        self.players = objective.players(model)
        self.step_module = Step(model, objective)
        self.movers = {name: Mover(self.players[name], self._how(name, lr)) for name in self._moving()}
        self.average = Average(model, self._how("model", lr).ema)
        self.history = History(monitor=self.monitor.name if self.monitor else None)
        self.step, self.drops = 0, _drops(self.step_module)
        self._sums: dict[str, tuple[Tensor, int]] = {}
        self._guard, self._spent, self._times = Guard(), 0.0, list[float]()
        self._best: dict[str, Tensor] = {}
        self._stale = 0
        self._good: checkpoint.Snapshot | None = None

    def _moving(self) -> list[str]:
        return list(dict.fromkeys(phase.player for phase in self.phases))

    def _how(self, player: str, lr: float | None) -> Optimisation:
        own = getattr(self.model, "optimisation", None) if player == "model" else None
        how: Optimisation = own or self.objective.optimisation_of(player)
        return how if lr is None else replace(how, lr=lr)

    # -- the loop -----------------------------------------------------------------------------------------------
    def __iter__(self) -> Iterator["Run"]:
        """Yield after every step; leaves the best weights in the model at the end."""
        self._journal = Journal(self.out and self.out / "metrics.jsonl", self.step)
        self._good = self._good or self.state()
        self.model.train()
        while not self.history.stopped:
            began = time.perf_counter()
            self._take_step()
            self._after_step(began)
            yield self
        self._finish()

    def _take_step(self) -> None:
        with seeded(mix(self.plan.seed, DROPOUT, self.step)) if self.drops else nullcontext():
            for index, phase in enumerate(self.phases):
                if self.step % phase.every == 0:
                    for repeat in range(phase.times):
                        self._move(phase, mix(self.plan.seed, LOSS, self.step, index, repeat))
        self.average.update(self.step)
        self.step += 1

    def _move(self, phase: Phase, seed: int) -> None:
        if phase.before:
            phase.before(self.model)
        batch = self.batches.next()
        loss = self.step_module(batch, phase, Rows(seed, len(batch), 0, self.model.dtype, self.model.device))
        mover = self.movers[phase.player]
        lr = mover.set_lr(self.step, self.plan.steps or 10**9)
        norm = mover.move(loss.total)
        if phase.after:
            phase.after(self.model)
        self._guard.watch(self.step, loss.total, loss.terms, norm)
        prefix = "" if phase.player == "model" else f"{phase.player}_"
        self._note({f"{prefix}loss": loss.total, **loss.terms, f"{prefix}gradient": norm})
        self._lr = lr

    def _after_step(self, began: float) -> None:
        for callback in self.callbacks:
            callback.on_step(self)
        self._times.append(time.perf_counter() - began)
        self._spent += self._times[-1]
        if self.plan.steps is None:
            self._calibrate()
        last = self.plan.steps is not None and self.step >= self.plan.steps
        if last:
            self.history.stopped = "all steps taken"
        logged = self.step % self.plan.log_every == 0 or last
        if logged:
            self._log()
        if self.monitor and self.plan.steps and (self.step % self.plan.evaluate_every == 0 or last):
            self._evaluate()
        self._watch_the_clock()
        if logged:
            self._good = self.state()
        if self.out and self._good and (self.step % self.plan.checkpoint_every == 0 or self.history.stopped):
            checkpoint.write(self.out / "training", self._good)

    def _calibrate(self) -> None:
        """After a short measurement, let the budget buy steps (the first steps warm caches and are not counted)."""
        budget = self.plan.budget or 0.0
        if self.step < 5 or (self.step < CALIBRATION and self._spent < 0.1 * budget) or self._spent < 0.03 * budget:
            return
        began = time.perf_counter()
        if self.monitor:
            self._evaluate()
        cost = time.perf_counter() - began
        self.plan.buy(self.step, self._spent, self._times[2:], cost)

    def _watch_the_clock(self) -> None:
        """A machine that slowed down after the measurement must not overrun the budget by much."""
        budget = self.plan.budget
        if budget and self._spent > 1.05 * budget and not self.history.stopped:
            self.history.stopped = "the budget was spent"
            self.plan.steps = self.step

    # -- log, evaluate, remember --------------------------------------------------------------------------------
    def _note(self, values: dict[str, Tensor]) -> None:
        """Add to the window's sums on the device."""
        for name, value in values.items():
            total, count = self._sums.get(name, (torch.zeros_like(value.detach()), 0))
            self._sums[name] = (total + value.detach(), count + 1)

    def _log(self) -> None:
        verdict = self._guard.verdict()
        if verdict is not None:
            self._retreat(*verdict)
        names, means = list(self._sums), [total / count for total, count in self._sums.values()]
        values = torch.stack([m.float().reshape(()) for m in means]).tolist()
        row = {"step": self.step, "seconds": round(self._spent, 4), "lr": self._lr}
        row |= dict(zip(names, values, strict=True)) | self.model.summary()
        self._sums = {}
        self._record(row)
        for callback in self.callbacks:
            callback.on_log(self, row)

    def _record(self, row: dict[str, Any]) -> None:
        if self.history.rows and self.history.rows[-1]["step"] == row["step"]:
            self.history.rows[-1] |= row
        else:
            self.history.rows.append(row)
        self._journal.append(row)

    def _retreat(self, step: int, term: str) -> None:
        """Put the last good state back and stop."""
        good = self._good or self.state()
        self.load_state(good)
        self._finish()
        raise Diverged(step, term, int(good[1]["step"]), self.model)

    def _evaluate(self) -> None:
        assert self.monitor is not None
        began = time.perf_counter()
        with self.evaluated():
            value = self.monitor()
            if value < self.history.best:
                self.history.best, self.history.best_step, self._stale = value, self.step, 0
                self._best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
            else:
                self._stale += 1
        self._spent += time.perf_counter() - began
        self._record({"step": self.step, "seconds": round(self._spent, 4), "monitor": value})
        if self._stale > self.plan.patience:
            self.history.stopped = f"no improvement in {self._stale} evaluations"
        for callback in self.callbacks:
            callback.on_evaluate(self, value)

    @contextmanager
    def evaluated(self) -> Iterator[None]:
        """Within, the model is in eval mode with its averaged weights."""
        self.model.eval()
        with self.average.applied():
            yield
        self.model.train()

    def _finish(self) -> None:
        for callback in self.callbacks:
            callback.on_end(self)
        self.history.steps, self.history.seconds = self.step, self._spent
        if self._best:
            self.model.load_state_dict(self._best)
        else:
            self.average._swap()
        self.model.eval()

    # -- state --------------------------------------------------------------------------------------------------
    def state(self) -> checkpoint.Snapshot:
        """Everything the next step depends on."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"objective.{k}": v for k, v in self.objective.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.shadow.items()}
        tensors |= {f"best.{k}": v for k, v in self._best.items()}
        for name, mover in self.movers.items():
            tensors |= checkpoint.optimiser_tensors(name, mover.optimiser)
        counters: dict[str, Any] = {
            "step": self.step,
            "drawn": self.batches.drawn,
            "spent": self._spent,
            "stale": self._stale,
        }
        counters |= {"best": self.history.best, "best_step": self.history.best_step, "plan": self.plan.to_dict()}
        counters |= {"rows": list(self.history.rows), "stopped": self.history.stopped}
        return {k: v.detach().clone() for k, v in tensors.items()}, counters

    def load_state(self, snapshot: checkpoint.Snapshot) -> None:
        """Go back (or on) to a snapshot."""
        tensors, counters = snapshot
        _load(self.model, "model.", tensors)
        _load(self.objective, "objective.", tensors)
        self.average.shadow = {k: tensors[f"average.{k}"].clone() for k in self.average.shadow}
        self._best = {k.removeprefix("best."): v.clone() for k, v in tensors.items() if k.startswith("best.")}
        for name, mover in self.movers.items():
            checkpoint.load_optimiser(name, mover.optimiser, tensors)
        self.step, self.batches.drawn = int(counters["step"]), int(counters["drawn"])
        self._spent, self._stale = float(counters["spent"]), int(counters["stale"])
        self.plan = Plan(**counters["plan"])
        self.history.best, self.history.best_step = float(counters["best"]), int(counters["best_step"])
        self.history.rows, self.history.stopped = list(counters["rows"]), str(counters["stopped"])
        self._good = snapshot


def _load(module: nn.Module, prefix: str, tensors: dict[str, Tensor]) -> None:
    module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})


def _drops(module: nn.Module) -> bool:
    """Whether any layer draws from the global generator, which is then seeded at every step."""
    return any(isinstance(m, nn.modules.dropout._DropoutNd) for m in module.modules())
