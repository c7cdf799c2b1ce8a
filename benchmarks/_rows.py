"""Rows of a result file that are made one at a time, in any order, by any number of processes.

A row is told by some of its entries (its keys). A script asks for the rows that are there, makes those that are missing
and puts each down as soon as it is done; killed and started again, it goes on where it was. A taste (another budget
than the one that results are stated for) is shown, but only written among the results when asked.

A budget is time of the clock ("20m"), which a busy machine fills with fewer steps, or a number of steps ("5000steps").
"""

import argparse
import fcntl
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _record

import fairway as fw

Row = dict[str, Any]


def parser(title: str, budget: str) -> argparse.ArgumentParser:
    """What every script takes."""
    taken = argparse.ArgumentParser(description=title.splitlines()[0])
    taken.add_argument("--budget", default=budget, help="of each fit: 20s, 20m, or 5000steps")
    taken.add_argument("--record", action="store_true", help=f"write results for a budget other than {budget}, too")
    return taken


def length(budget: str) -> dict[str, Any]:
    """The option of `fit` that a budget is.

    >>> length("20m"), length("300steps")
    ({'budget': '20m'}, {'steps': 300})
    """
    return {"steps": int(budget.removesuffix("steps"))} if budget.endswith("steps") else {"budget": budget}


class Rows:
    """The rows of benchmarks/results/NAME.json.

    Args:
        name: NAME. keys: the entries that tell a row. recorded: False for a taste. numbers: what stands beside them.
    """

    def __init__(self, name: str, keys: tuple[str, ...], recorded: bool = True, **numbers: Any) -> None:
        self.name, self.keys, self.recorded, self.numbers = name, keys, recorded, numbers
        self.began, self._tasted = time.perf_counter(), list[Row]()

    def all(self) -> list[Row]:
        """The rows of the file, or those of this taste."""
        return self._read() if self.recorded else list(self._tasted)

    def has(self, **entries: Any) -> bool:
        """Whether there is a row with these entries."""
        return any(all(row.get(key) == value for key, value in entries.items()) for row in self.all())

    def put(self, row: Row) -> None:
        """Add a row, or replace the one with the same keys."""
        if not self.recorded:
            self._tasted.append(row)
            return
        with _alone(self.name):
            others = [other for other in self._read() if any(other.get(key) != row[key] for key in self.keys)]
            _record.write(self.name, self.began, {"rows": [*others, row], **self.numbers})

    def forget(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return _record.RESULTS / f"{self.name}.json"

    def _read(self) -> list[Row]:
        return json.loads(self._path.read_text())["rows"] if self._path.exists() else []


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """One process at a time."""
    with (Path(tempfile.gettempdir()) / f"fairway-benchmark-{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def dataset(name: str) -> Any:
    """A data set by name, or None after saying where its files should be: what needs it is not run."""
    try:
        return fw.data.load(name)
    except FileNotFoundError as error:
        print(f"not run: {error}")
        return None


class Clock:
    """Seconds of the wall and of the processor since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Both, as entries of a row."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"seconds": round(wall, 1), "cpu_seconds": round(cpu, 1)}
