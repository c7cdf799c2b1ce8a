"""What a user may hook into a run: progress, pictures every N steps, anything.

A callback sees the `Run` (its model, step, history) after a step, a log row or an evaluation, and at the end. It must
not draw from the run's noise; its own draws take their own seed.

>>> Every(100, lambda run: print(run.step)).steps
100
"""

from collections.abc import Callable
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

REDRAW = 10  # steps between two updates of the bar: each costs as much as a small step


class Callback:
    """Does nothing; override what you need."""

    def on_step(self, run: Any) -> None:
        """After every step."""

    def on_log(self, run: Any, row: dict[str, Any]) -> None:
        """After every log window, with its row."""

    def on_evaluate(self, run: Any, value: float) -> None:
        """After every evaluation, with the monitor's value."""

    def on_end(self, run: Any) -> None:
        """After the last step, before the best weights are put back."""


class Every(Callback):
    """Call a function of the run every so many steps, with the evaluated (averaged) weights in place.

    Args:
        steps: how often.
        function: takes the run; `run.model.sample(16, generator=0)` draws from the model as it stands.
    """

    def __init__(self, steps: int, function: Callable[[Any], None]) -> None:
        self.steps, self.function = steps, function

    def on_step(self, run: Any) -> None:
        if run.step % self.steps == 0:
            with run.evaluated():
                self.function(run)


class ProgressBar(Callback):
    """One line: step, loss, monitor, time left."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._bar: Progress | None = None

    def on_step(self, run: Any) -> None:
        if run.step % REDRAW == 0 or self._bar is None:
            self._show(run)

    def _show(self, run: Any) -> None:
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"), transient=True)
            self._task = self._bar.add_task(self.name, total=run.plan.steps, note="")
            self._bar.start()
        self._bar.update(self._task, completed=run.step, total=run.plan.steps)

    def on_log(self, run: Any, row: dict[str, Any]) -> None:
        if self._bar is not None:
            best = "" if run.history.best_step == 0 else f"  best {run.history.best:.4g} @ {run.history.best_step}"
            self._show(run)
            self._bar.update(self._task, note=f"loss {row.get('loss', float('nan')):.4g}{best}")

    def on_end(self, run: Any) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
