"""How long a run goes on, and what a time budget buys.

A budget in seconds is turned into a number of steps by a short measurement at the start: the mean step and one
evaluation are timed, evaluations get at most a tenth of the budget, the rest buys steps. From then on the schedule is
a function of steps alone; the number is kept with every checkpoint, so that a resume repeats it.
"""

import operator
import re
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
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)(?:e([+-]?\d+))?\s*([a-z]*)\s*", str(budget))
    if not match or match[3] not in UNITS or float(match[1]) <= 0:
        raise ValueError(f"expected a budget such as 30s, 2m or a number of seconds, got {budget!r}")
    return float(match[1]) * 10.0 ** int(match[2] or 0) * UNITS[match[3]]


def integer(name: str, value: Any, least: int | None = None) -> int:
    """An integer of any integer type.

    Raises:
        ValueError: something else, or one below `least`.
    """
    whole = operator.index(value) if hasattr(value, "__index__") and not isinstance(value, bool) else None
    if whole is None or (least is not None and whole < least):
        kind = "an integer" if least is None else f"an integer of at least {least}"
        raise ValueError(f"expected {name} as {kind}, got {value!r}")
    return whole


@dataclass
class Plan:
    """What a run will do.

    Args:
        steps: number of steps; None until a budget has bought them.
        budget: seconds, or None.
        batch_size: rows per batch. seed: of order and noise.
        evaluate_every, log_every, checkpoint_every: in steps; evaluate_every 0 for a choice of the plan's own. A
            checkpoint ends a log window, so that its numbers are those of the same steps after a resume.
        patience: evaluations without improvement before an early stop.
        lr: overrides every player's learning rate.
        stage: the position of the stage in the fit.
        threads: of torch on the processor; None for as many as it has (a budget measures what is best).
        world: number of processes that share every batch, `batch_size` rows each.
        parallel: how they do, "ddp" or "fsdp".
        compile: whether the loss is compiled; None to choose what is faster.
        precision: of products, "float32" or "bfloat16"; "auto" to choose.
    """

    steps: int | None
    budget: float | None
    batch_size: int
    seed: int
    evaluate_every: int = 0
    log_every: int = 50
    checkpoint_every: int = 50
    patience: int = 12
    lr: float | None = None
    stage: int = 0
    threads: int | None = None
    world: int = 1
    parallel: str = "ddp"
    compile: bool | None = None
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.steps is None and self.budget is None:
            self.steps = DEFAULT_STEPS
        self.steps = None if self.steps is None else integer("steps", self.steps, least=1)
        self.batch_size = integer("batch_size", self.batch_size, least=1)
        self.log_every = min(self.log_every, self.checkpoint_every)
        if self.steps is not None and not self.evaluate_every:
            self.evaluate_every = max(1, min(500, max(self.steps // 40, 25)))

    def buy(self, spent: float, step_seconds: float, evaluation_seconds: float) -> None:
        """Turn what is left of the budget into steps and evaluations.

        Args:
            spent: seconds gone.
            step_seconds, evaluation_seconds: what one of each costs.
        """
        left = max((self.budget or 0.0) * MARGIN - spent, 0.0)
        step_seconds, evaluation_seconds = max(step_seconds, 1e-6), max(evaluation_seconds, 1e-6)
        if self.evaluate_every:
            both = step_seconds + evaluation_seconds / self.evaluate_every
            self.steps = max(1, int(left / both))
            return
        evaluations = int(min(40, max(3, 0.1 * left / evaluation_seconds)))
        training = max(left - evaluations * evaluation_seconds, 0.0)
        self.steps = max(1, int(training / step_seconds))
        self.evaluate_every = max(1, self.steps // evaluations)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)
