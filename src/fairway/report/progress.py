"""Which model is at work, for how long: a live bar on a terminal, one line per finished model elsewhere."""

from pathlib import Path
from types import TracebackType
from typing import Any

from fairway.report.row import NOTHING, Row, likelihood_text, unit


class Progress:
    """A context manager over a comparison.

    Args:
        labels: the models in order. budget: seconds of training each, or None.
        show: False for silence.
    """

    def __init__(self, labels: list[str], budget: float | None, show: bool = True) -> None:
        from rich.console import Console

        self.labels, self.budget, self.show, self.done = labels, budget, show, 0
        self.console = Console(stderr=True, highlight=False)
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Progress":
        if self.show and self.console.is_terminal:
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            text = TextColumn("{task.description}")
            self._bar = Bar(text, BarColumn(), TimeElapsedColumn(), console=self.console, transient=True)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tick(self, label: str, state: Path, seconds: float) -> None:
        """Refresh the bar: the word in `state`, and how much of the budget is gone."""
        if self._bar is None:
            return
        word = state.read_text() if state.exists() else "starting"
        if self._task is None:
            self._task = self._bar.add_task("", total=self.budget)
        gone = self.budget if self.budget and word == "measuring" else min(seconds, self.budget or 0) or None
        text = f"{self.done + 1} of {len(self.labels)}  {label}  {word}"
        self._bar.update(self._task, description=text, completed=gone)

    def finish(self, label: str, row: Row) -> None:
        """One line for a finished model."""
        self.done += 1
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        if self.show:
            self.console.print(f"{self.done} of {len(self.labels)}  {label:<16} {summary(row)}", markup=False)


def summary(row: Row) -> str:
    """What came out, in a few words."""
    if row.status == "failed":
        return f"failed: {row.reason}"
    text = likelihood_text(row)
    found = "no likelihood" if text == NOTHING else f"{text} {unit(row)}"
    return f"{found}, {row.steps or 0:,} steps in {row.training_seconds or 0:.1f} s"
