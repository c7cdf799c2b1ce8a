"""How far a run is, where its user is looking.

a terminal     a bar on stderr that is redrawn in place
a notebook     the same as HTML, redrawn through the notebook's own display (no widgets needed)
elsewhere      (a file, continuous integration) a line every ten seconds through logging
"""

import time
from html import escape
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fairway.training.callbacks.base import Callback
from fairway.training.log import say

REDRAW = 10  # steps between two updates: on a terminal each costs as much as a small step
LINE_SECONDS = 10.0  # between two lines
NOTEBOOK_SECONDS = 0.5  # between two drawings: each is a message to the browser


class Face(Protocol):
    """Where progress is shown."""

    def show(self, done: int, total: int | None, note: str) -> None:
        """So many steps are done, of so many (None: nobody knows)."""

    def close(self) -> None:
        """The run is over."""


class ProgressBar(Callback):
    """Step, loss, what else the objective wants shown, monitor, time left.

    Args:
        name: of the run.
        face: where to show it; None for what fits: a terminal, a notebook, or lines.
    """

    def __init__(self, name: str, face: Face | None = None) -> None:
        self.name, self._given = name, face
        self._face: Face | None = None
        self._note, self._last = "", dict[str, float]()

    def on_step(self, run: Any) -> None:
        if run.step % REDRAW == 0 or self._face is None:
            self._show(run)

    def on_log(self, run: Any, row: dict[str, Any]) -> None:
        best = "" if run.history.best_step == 0 else f"  best {run.history.best:.4g} @ {run.history.best_step}"
        wanted = getattr(getattr(run, "objective", None), "shown_in_progress", ())  # a solver has none
        self._last |= {name: row[name] for name in wanted if name in row}
        others = "".join(f"  {name} {value:.3g}" for name, value in self._last.items())
        self._note = f"loss {row.get('loss', float('nan')):.4g}{others}{best}"
        self._show(run)

    def on_end(self, run: Any) -> None:
        if self._face is not None:
            self._face.close()
            self._face = None

    def _show(self, run: Any) -> None:
        if self._face is None:
            self._face = self._given or face_for(self.name, Console(stderr=True))
        self._face.show(run.step, run.plan.steps, self._note)


def face_for(name: str, console: Console) -> Face:
    """What fits the place that a console writes to."""
    if console.is_jupyter:
        return Notebook(name)
    return Terminal(name, console) if console.is_terminal else Lines(name)


class Terminal:
    """A bar that is redrawn in place and gone at the end."""

    def __init__(self, name: str, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        last = (TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        self._bar = Progress(*columns, *last, transient=True, console=console)
        self._task = self._bar.add_task(name, total=None, note="")
        self._bar.start()

    def show(self, done: int, total: int | None, note: str) -> None:
        self._bar.update(self._task, completed=done, total=total, note=note)

    def close(self) -> None:
        self._bar.stop()


class Notebook:
    """The same as HTML in the output of a cell."""

    def __init__(self, name: str) -> None:
        from IPython.display import HTML, display

        self.name, self._html, self._last = name, HTML, time.monotonic()
        self._shown = display(HTML(""), display_id=True)
        self._text = ""

    def show(self, done: int, total: int | None, note: str) -> None:
        bar = f"<progress value='{done}' max='{total}'></progress> " if total else ""
        of = f" of {total:,}" if total else ""
        self._text = f"{escape(self.name)} {bar}step {done:,}{of} &nbsp; {escape(note)}"
        if time.monotonic() - self._last > NOTEBOOK_SECONDS:
            self._draw()

    def close(self) -> None:
        self._draw()

    def _draw(self) -> None:
        self._last = time.monotonic()
        self._shown.update(self._html(self._text))


class Lines:
    """A line every so often; nothing of a run that is over before the first one is due."""

    def __init__(self, name: str) -> None:
        self.name, self._last = name, time.monotonic()

    def show(self, done: int, total: int | None, note: str) -> None:
        if time.monotonic() - self._last > LINE_SECONDS:
            self._last = time.monotonic()
            of = f" of {total:,}" if total else ""
            say("  ".join(part for part in (f"{self.name}: step {done:,}{of}", note) if part))

    def close(self) -> None:
        """Nothing is left open."""
