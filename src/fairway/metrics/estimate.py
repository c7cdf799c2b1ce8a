"""A number about a model or about two sets of samples, with everything needed to read it.

    value +- standard_error    unit ("nats", "data units", "bits/dim", "1" for a pure number)
    relation                   equal | lower | upper: how the value stands to the quantity that it is named after
    method                     exact: closed form or exact algorithm; numerical: a solver; estimate: Monte Carlo
    floor                      what the same number is between two fresh sets of data of the same sizes

A distance of finite samples is never 0, so it is read beside its floor: a gap between two models that is under two
standard deviations of the floor is a tie (`tied`).

>>> a, b = Estimate(0.310, unit="data units", floor=0.30, floor_sd=0.02), Estimate(0.325, unit="data units")
>>> str(a)
'0.31 data units (exact; fresh data 0.3 +- 0.02)'
>>> a.tied(b)
True
"""

import math
from dataclasses import dataclass, field
from typing import Any

from fairway.core.likelihood import Method, Relation

SYMBOL = {"equal": "", "lower": ">= ", "upper": "<= ", "none": ""}


@dataclass(frozen=True)
class Estimate:
    """One number.

    Args:
        value: the number.
        standard_error: of `value` (0 where exact, NaN where unknown).
        relation: how `value` stands to the quantity: "lower" means that the quantity is at least `value`.
        method: how it was computed.
        unit: of value, standard error, interval and floor.
        interval: (low, high), an interval of 95 % by the bootstrap where one was asked for.
        floor, floor_sd: mean and standard deviation of the same number between two fresh sets of data.
        n: sizes of the sets of samples behind it.
        protocol: what else must be equal for two such numbers to be compared (features, split, resize, bandwidth).
        info: anything else, by name.
    """

    value: float
    standard_error: float = 0.0
    relation: Relation = "equal"
    method: Method = "exact"
    unit: str = "1"
    interval: tuple[float, float] | None = None
    floor: float | None = None
    floor_sd: float | None = None
    n: tuple[int, ...] = ()
    protocol: str = ""
    info: dict[str, Any] = field(default_factory=dict)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        error = f" +- {self.standard_error:.2g}" if self.standard_error > 0 else ""
        unit = "" if self.unit == "1" else f" {self.unit}"
        floor = "" if self.floor is None else f"; fresh data {self.floor:.4g} +- {self.floor_sd or 0:.2g}"
        return f"{SYMBOL[self.relation]}{self.value:.4g}{error}{unit} ({self.method}{floor})"

    def tied(self, other: "Estimate") -> bool:
        """Whether the gap to another number of the same kind is under two standard deviations of the floor (or, where
        neither has a floor, of the two standard errors together).

        Raises:
            ValueError: the two differ in unit or protocol: such numbers are never ranked.
        """
        if (self.unit, self.protocol) != (other.unit, other.protocol):
            raise ValueError(
                f"expected numbers of one unit and protocol, got {self.unit!r} under {self.protocol!r} "
                f"and {other.unit!r} under {other.protocol!r}"
            )
        spreads = [e.floor_sd for e in (self, other) if e.floor_sd is not None]
        sd = max(spreads) if spreads else math.hypot(self.standard_error, other.standard_error)
        return abs(self.value - other.value) < 2 * sd or self.value == other.value

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what is empty is left out."""
        kept = {key: value for key, value in vars(self).items() if value is not None and value not in ("", (), {})}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()}
