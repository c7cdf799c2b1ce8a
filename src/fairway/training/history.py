"""What happened during a fit: one row per log window, kept in memory and appended to `metrics.jsonl`."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairway.training.files import BrokenFolder, naming, write_bytes

LARGEST, LONGEST = 2**30, 2**20  # bytes of a log, characters of a row


@dataclass
class History:
    """The log of a run.

    Args:
        rows: dicts with step, seconds, loss and terms; at evaluations also `monitor`.
        monitor: name of the held-out metric, lower is better.
        steps: steps taken. seconds: wall time of training.
        best: best value of the monitor. best_step: where it was reached.
        stopped: why training ended. evaluate_every: steps between two evaluations.
        threads: torch's, on the processor. planned: steps of the schedule, which an early stop cuts short.
        compiled, precision: how the loss was computed.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    monitor: str | None = None
    steps: int = 0
    seconds: float = 0.0
    best: float = math.inf
    best_step: int = 0
    stopped: str = ""
    evaluate_every: int = 0
    threads: int = 0
    planned: int = 0
    compiled: bool = False
    precision: str = "float32"

    def curve(self, name: str) -> list[tuple[int, float]]:
        """(step, value) pairs of one logged name."""
        return [(row["step"], row[name]) for row in self.rows if name in row]

    def add(self, row: dict[str, Any]) -> None:
        """Append a row; what is logged twice for one step becomes one row."""
        last = self.rows[-1] if self.rows else {}
        if (last.get("stage"), last.get("step")) == (row.get("stage"), row["step"]):
            last |= row
        else:
            self.rows.append(row)

    def forget_after(self, step: int) -> None:
        """Drop the rows of later steps."""
        self.rows = [row for row in self.rows if row["step"] <= step]

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
    """Appends rows to a JSON-lines file; what a resumed run will do again is dropped first.

    Args:
        path: the file, or None for none.
        step: of this stage, rows up to here stay.
        stage: the position of the stage in the fit; rows of earlier stages stay, rows of later ones go.
    """

    def __init__(self, path: Path | None, step: int = 0, stage: int = 0) -> None:
        self.path, self.stage = path, stage
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = [row for row in _parsed(path) if (row.get("stage", 0), row["step"]) <= (stage, step)]
            write_bytes(path, "".join(json.dumps(row) + "\n" for row in kept).encode())

    def append(self, row: dict[str, Any]) -> None:
        """Write one row.

        Raises:
            OSError: a full disk, say; names the file.
        """
        if self.path is None:
            return
        line = json.dumps(row if not self.stage else {"stage": self.stage, **row}) + "\n"
        with naming(self.path), self.path.open("a") as file:
            file.write(line)


def read_rows(path: Path, stage: int | None = None) -> list[dict[str, Any]]:
    """The rows of a `metrics.jsonl`, one per step; of one stage, or of all."""
    history = History()
    for row in _parsed(path):
        if stage is None or row.get("stage", 0) == stage:
            history.add(row)
    return history.rows


def _parsed(path: Path) -> list[dict[str, Any]]:
    """Complete rows of a journal (a kill may leave half a line at the end)."""
    if not path.is_file() or not path.stat().st_size:  # what has no size may still have no end (/proc)
        return []
    if path.stat().st_size > LARGEST:
        raise BrokenFolder(f"{path} is larger than {LARGEST // 2**20} MiB: not a log; move it away")
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        parsed = [_row(line) for line in iter(lambda: file.readline(LONGEST), "")]
    return [row for row in parsed if row is not None]


def _row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(row, dict) and all(isinstance(row.get(key, 0), int) for key in ("step", "stage"))
    return row if whole and "step" in row else None
