"""What every experiment tracker needs of a run: its settings once, and every number of every log row, by step.

A tracker opens at the first step that this process takes. The rows of a resumed run that were logged before (the run
reads them from its journal) are handed over first, so that a tracker that starts its record anew has all of them, each
once and in order; one that goes on with an older record asks for those it lacks. Stages count their steps from 0 and
are recorded apart.
"""

from abc import ABC, abstractmethod
from typing import Any

from fairway.core.config import to_json
from fairway.training.callbacks.base import Callback


class Tracker(Callback, ABC):
    """Opens, writes and closes a record; subclasses say how."""

    _run: Any = None

    def on_step(self, run: Any) -> None:
        if self._run is not run:
            if self._run is not None:  # an earlier run that never came to its end
                self.close()
            self._run = None
            self.open(run, settings(run))
            self._run = run  # only what was opened is written to and closed
            for row in run.history.rows:
                if row["step"] < run.step:
                    self.write(numbers(row), row["step"])

    def on_log(self, run: Any, row: dict[str, Any]) -> None:
        if self._run is run:
            self.write(numbers(row), run.step)

    def on_evaluate(self, run: Any, value: float) -> None:
        if self._run is run:
            self.write({"monitor": value}, run.step)

    def on_end(self, run: Any) -> None:
        if self._run is run:
            self._run = None
            self.close()

    @abstractmethod
    def open(self, run: Any, settings: dict[str, Any]) -> None:
        """Start the record of a run with its settings, JSON-ready."""

    @abstractmethod
    def write(self, row: dict[str, float], step: int) -> None:
        """Add numbers by name; may be called twice for a step, under other names."""

    def close(self) -> None:
        """End the record."""


def numbers(row: dict[str, Any]) -> dict[str, float]:
    """The numbers of a log row by name, without the step.

    >>> numbers({"step": 50, "loss": 1.5, "note": "warm", "lr": 0})
    {'loss': 1.5, 'lr': 0.0}
    """
    kept = {name: value for name, value in row.items() if name not in ("step", "stage")}
    return {k: float(v) for k, v in kept.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def settings(run: Any) -> dict[str, Any]:
    """Model, objective (or solver) and plan of a run, JSON-ready."""
    learner = getattr(run, "objective", None) or getattr(run, "solver", None)
    return {"model": _of(run.model), "objective": _of(learner), "plan": run.plan.to_dict()}


def _of(part: Any) -> dict[str, Any]:
    """A part's name and arguments; what no file could hold is shown as Python shows it."""
    return {"name": part.name(), **{key: _plain(value, key) for key, value in part.arguments.items()}}


def _plain(value: Any, name: str) -> Any:
    try:
        return to_json(value, name)
    except TypeError:
        return repr(value)
