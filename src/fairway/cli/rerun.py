"""An earlier run as the defaults of a new one: what its config.json and data.json say, checked before it is used.

    config.json    {"model": name, "arguments": {...}, "objective": {"objective": name, ...}, "fit": {...}, "dtype": d}
    data.json      {"source": name or path, "part": {"holdout": share, "seed": s}, ...}      beside it, where there is

Options that a command line can say (numbers, words) become its defaults; parts such as networks are kept as they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairway.cli.safe import read_config_file
from fairway.core.config import check_options, signature

FROM_THE_DATA = ("event", "context_event")
LENGTH = ("steps", "budget", "evaluate_every")  # said together: new steps make an old budget or interval wrong


@dataclass
class Before:
    """The earlier run; empty for a run that starts from nothing.

    Args:
        config: the checked entries of config.json. folder: where it lies.
    """

    config: dict[str, Any] = field(default_factory=dict)
    folder: Path = Path()

    @property
    def model(self) -> str | None:
        """Its registered name."""
        return self.config.get("model")

    @property
    def objective(self) -> str | None:
        """The name of its objective."""
        return (self.config.get("objective") or {}).get("objective")

    @property
    def context(self) -> str | None:
        """ "labels" for a conditional model."""
        return "labels" if self.config.get("arguments", {}).get("context_event") else None

    @property
    def dtype(self) -> str | None:
        """The precision that it ended in."""
        return self.config.get("dtype")

    @property
    def holdout(self) -> float | None:
        """The share of rows it never saw; None for the official split, or for nothing."""
        part = self._record().get("part") or {}
        return part.get("holdout")

    def of_model(self, cls: Any, taken: Sequence[str]) -> dict[str, Any]:
        """The model's own options, as JSON.

        Raises:
            ValueError: an option that the constructor lacks, or one that only Python can hand over.
        """
        entries = {key: v for key, v in self.config.get("arguments", {}).items() if key not in FROM_THE_DATA}
        check_options(cls, entries, f"in the configuration, {self.model!r}")
        for key in [key for key in entries if key in taken]:
            if entries.pop(key) != signature(cls)[key].default:
                raise ValueError(f"{self.model}'s option {key!r} is also the fit's: only Python can build this model")
        return entries

    def of_objective(self, cls: Any, objective: str | None) -> dict[str, Any]:
        """The objective's options, as JSON, where it is the same objective.

        Raises:
            ValueError: an option that it lacks.
        """
        entries = dict(self.config.get("objective") or {})
        if cls is None or entries.pop("objective", None) != objective:
            return {}
        check_options(cls, entries, f"in the configuration, {objective!r}")
        return entries

    def of_fit(self, names: Sequence[str]) -> dict[str, Any]:
        """The fit's options among these names."""
        return {key: value for key, value in self.config.get("fit", {}).items() if key in names}

    @property
    def init(self) -> str | None:
        """The run folder that it began from.

        Raises:
            ValueError: a model in memory, or weights that changed since.
        """
        from fairway.training.transfer import source_of

        began = self.config.get("fit", {}).get("init")
        if began is None:
            return None
        if not isinstance(began, dict) or not Path(str(began.get("from"))).is_dir():
            raise ValueError(f"the configuration's run began from {str(began)[:80]}, no folder here: say --init")
        if source_of(began["from"]).digest != began.get("digest"):
            raise ValueError(f"{began['from']}, from which the configuration's run began, changed since: say --init")
        return str(began["from"])

    def length(self) -> dict[str, Any]:
        """How long it went on: steps that a budget may have bought, and how often it looked."""
        return {key: value for key, value in self.of_fit(LENGTH).items() if value is not None}

    def source(self) -> Any:
        """The whole data set that it was trained on a part of.

        Raises:
            ValueError: nobody wrote down which, or it was an array.
        """
        from fairway.report.held_out import source_of

        if self._record().get("source", "array") == "array":
            raise ValueError("expected DATA: a data set's name, or a path; the configuration's run does not say which")
        return source_of(self.folder)

    def _record(self) -> dict[str, Any]:
        from fairway.report.held_out import read_record

        return read_record(self.folder) if self.config and (self.folder / "data.json").is_file() else {}


def before(path: Any) -> Before:
    """The run whose configuration is at a path (config.json, or its folder); an empty one for None.

    Raises:
        ValueError: not a configuration, or one that names classes.
    """
    if path is None:
        return Before()
    config = read_config_file(path)
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    return Before(config, folder)
