"""How long a run goes on, and what a time budget buys.

A budget in seconds is turned into a number of steps by a short measurement at the start: the median step and one
evaluation are timed, evaluations get at most a tenth of the budget, the rest buys steps. From then on the schedule is
a function of steps alone; the number is written to the run's config, so that a rerun or a resume repeats it.
"""

import re
import statistics
from dataclasses import asdict, dataclass
from typing import Any

DEFAULT_STEPS = 5_000
MARGIN = 0.95  # share of a budget that is planned; the rest absorbs what a shared machine takes
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds_of(budget: float | str | None) -> float | None:
    """Seconds of "30s", "2m", "1h" or a number.

    Raises:
        ValueError: not a positive duration.
    """
    if budget is None:
        return None
    match = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]*)\s*", str(budget))
    if not match or match[2] not in UNITS or match[1].count(".") > 1 or match[1] == "." or float(match[1]) <= 0:
        raise ValueError(f"expected a budget such as 30s, 2m or a number of seconds, got {budget!r}")
    return float(match[1]) * UNITS[match[2]]


@dataclass
class Plan:
    """What a run will do.

    Args:
        steps: number of steps; None until a budget has bought them.
        budget: seconds, or None.
        batch_size: rows per batch. seed: of order and noise.
        evaluate_every, log_every, checkpoint_every: in steps.
        patience: evaluations without improvement before an early stop.
    """

    steps: int | None
    budget: float | None
    batch_size: int
    seed: int
    evaluate_every: int = 0
    log_every: int = 50
    checkpoint_every: int = 50
    patience: int = 12

    def __post_init__(self) -> None:
        if self.steps is None and self.budget is None:
            self.steps = DEFAULT_STEPS
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"expected steps as a positive integer, got {self.steps}")
        if self.steps is not None and not self.evaluate_every:
            self.evaluate_every = max(1, min(500, max(self.steps // 40, 25)))

    def buy(self, step: int, spent: float, step_seconds: list[float], evaluation_seconds: float) -> None:
        """Turn what is left of the budget into steps and evaluations."""
        left = max((self.budget or 0.0) * MARGIN - spent, 0.0)
        evaluations = int(min(40, max(3, 0.1 * left / max(evaluation_seconds, 1e-6))))
        training = max(left - evaluations * evaluation_seconds, 0.0)
        self.steps = step + max(1, int(training / max(statistics.fmean(step_seconds), 1e-6)))
        self.evaluate_every = max(1, self.steps // evaluations)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)
