"""What happened during a fit: one row per log window, kept in memory and appended to `metrics.jsonl`."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class History:
    """The log of a run.

    Args:
        rows: dicts with step, seconds, loss and terms; at evaluations also `monitor`.
        monitor: name of the held-out metric, lower is better.
        steps: steps taken. seconds: wall time of training.
        best: best value of the monitor. best_step: where it was reached.
        stopped: why training ended. evaluate_every: steps between two evaluations.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    monitor: str | None = None
    steps: int = 0
    seconds: float = 0.0
    best: float = math.inf
    best_step: int = 0
    stopped: str = ""
    evaluate_every: int = 0

    def curve(self, name: str) -> list[tuple[int, float]]:
        """(step, value) pairs of one logged name."""
        return [(row["step"], row[name]) for row in self.rows if name in row]

    def summary(self) -> dict[str, Any]:
        """JSON-ready, without the rows."""
        best = None if math.isinf(self.best) else self.best
        return {
            "steps": self.steps,
            "seconds": round(self.seconds, 3),
            "monitor": self.monitor,
            "best": best,
            "best_step": self.best_step,
            "stopped": self.stopped,
        }


class Journal:
    """Appends rows to a JSON-lines file; rows after a resumed step are dropped first."""

    def __init__(self, path: Path | None, resume_step: int = 0) -> None:
        self.path = path
        if path is None:
            return
        kept = [line for line in _lines(path) if resume_step and json.loads(line)["step"] <= resume_step]
        path.write_text("".join(line + "\n" for line in kept))

    def append(self, row: dict[str, Any]) -> None:
        """Write one row."""
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")


def _lines(path: Path) -> list[str]:
    """Complete lines of a journal (a kill may leave half a line at the end)."""
    if not path.exists():
        return []
    return [line for line in path.read_text().split("\n") if line.startswith("{") and line.endswith("}")]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a `metrics.jsonl`."""
    return [json.loads(line) for line in _lines(path)]
