"""One line of a comparison, and how each of its numbers is written.

A `Row` is what is known about one model (or one reference) under one protocol; a `Column` turns it into a short text
for the terminal and the page alike, so that both always say the same. Bits per dimension fall when the likelihood
rises, so a *lower* bound on the likelihood is written with "≤" in bits and with "≥" in nats.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

NOTHING = "–"


@dataclass
class Row:
    """What is known about one model; None where a number does not exist.

    Args:
        name: label. kind: "model" or "reference". status: "ok" or "failed", with the `reason`.
        protocol: how the data were prepared; rows are never ranked across protocols.
        likelihood: `Likelihood.to_dict()`.
        distance: sliced Wasserstein to held-out rows, in their standard deviations.
        strokes: network evaluations per sample. seconds_per_1000: of sampling. memory: peak of the process, MB.
        sure: share of samples that a classifier recognises. present: classes among them. classes: how many there are.
        configuration: the model as JSON. history: the log of training.
    """

    name: str
    kind: str = "model"
    status: str = "ok"
    reason: str = ""
    protocol: str = ""
    likelihood: dict[str, Any] | None = None
    distance: float | None = None
    strokes: float | None = None
    parameters: int | None = None
    training_seconds: float | None = None
    steps: int | None = None
    seconds_per_1000: float | None = None
    memory: float | None = None
    sure: float | None = None
    present: int | None = None
    classes: int | None = None
    configuration: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    stopped: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: numbers that are not finite become None or "inf"."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain


def jsonable(value: Any) -> Any:
    """NaN as None and infinities as text, since JSON has neither."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, dict):
        return {str(key): jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(entry) for entry in value]
    return value


# -- numbers as text --------------------------------------------------------------------------------------------
def likelihood_text(row: Row) -> str:
    """ "≤ 2.190 ± 0.012" in bits per dimension, or nats where the event has no levels."""
    found = row.likelihood
    if not found or found["relation"] == "none":
        return NOTHING
    bits = found["bits_per_dim"] is not None
    value, error = (
        (found["bits_per_dim"], found["bits_per_dim_error"]) if bits else (found["nats"], found["standard_error"])
    )
    sign = {"equal": "=", "lower": "≤" if bits else "≥", "upper": "≥" if bits else "≤"}[found["relation"]]
    spread = "" if not _finite(error) else f" ± {float(error):.3f}"
    return f"{sign} {float(value):.3f}{spread}"


def unit(row: Row) -> str:
    """What `likelihood_text` counts in."""
    return "bits/dim" if (row.likelihood or {}).get("bits_per_dim") is not None else "nats"


def _finite(value: Any) -> bool:
    return value is not None and math.isfinite(float(value))


def number(value: float | None, digits: int = 3) -> str:
    """Significant digits without an exponent where it fits; a dash for nothing."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value) or value == 0:
        return f"{value:g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}" if decimals <= 6 else f"{value:.{digits - 1}e}"


def plain(value: float | None) -> str:
    """A count that may be a fraction."""
    return NOTHING if value is None else f"{value:.4g}"


def seconds(value: float | None) -> str:
    """Tenths of a second; hundredths below one."""
    return NOTHING if value is None else f"{value:.2f}" if value < 1 else f"{value:.1f}"


def whole(value: float | None) -> str:
    """With thousands separators."""
    return NOTHING if value is None else f"{value:,.0f}"


@dataclass(frozen=True)
class Column:
    """One column: its key, a short title for the terminal, a full one for the page, what it means, and its text."""

    key: str
    short: str
    title: str
    meaning: str
    text: Callable[[Row], str]


def columns(rows: Sequence[Row]) -> list[Column]:
    """The columns that these rows fill; those about classes only where the data have labels."""
    bits = any(row.likelihood and row.likelihood["bits_per_dim"] is not None for row in rows)
    real = next((row.sure for row in rows if row.sure is not None and row.name == "fresh real data"), None)
    every = [
        Column(
            "likelihood",
            "bits/dim" if bits else "nats",
            "Held-out bits per dimension" if bits else "Held-out log-likelihood, nats",
            f"{'lower' if bits else 'higher'} is better; = the value itself, {'≤' if bits else '≥'} a bound on it, "
            "± its standard error over rows",
            likelihood_text,
        ),
        Column(
            "method",
            "method",
            "Method",
            "exact: closed form; estimate: Monte Carlo mean of a bound; numerical: a discretised solver",
            lambda row: (row.likelihood or {}).get("method", "none").replace("none", NOTHING),
        ),
        Column(
            "distance",
            "distance",
            "Sliced Wasserstein",
            "distance of samples to as many held-out rows, in standard deviations; the floor is what real rows reach",
            lambda row: number(row.distance),
        ),
        Column(
            "sure",
            "sure",
            "Recognised",
            "share of samples to which a classifier gives a class with p > 0.8"
            + ("" if real is None else f" (held-out rows: {real:.2f})"),
            lambda row: NOTHING if row.sure is None else f"{row.sure:.2f}",
        ),
        Column(
            "present",
            "classes",
            "Classes",
            "classes among the recognised samples",
            lambda row: NOTHING if row.present is None else f"{row.present}/{row.classes}",
        ),
        Column("strokes", "strokes", "Strokes", "network evaluations per sample", lambda row: plain(row.strokes)),
        Column(
            "seconds_per_1000",
            "s/1000",
            "Seconds per 1,000 samples",
            "wall time, median",
            lambda row: number(row.seconds_per_1000, 2),
        ),
        Column("parameters", "params", "Parameters", "learned numbers", lambda row: whole(row.parameters)),
        Column(
            "training_seconds", "train s", "Training seconds", "wall time", lambda row: seconds(row.training_seconds)
        ),
        Column("steps", "steps", "Steps", "of the optimiser or solver", lambda row: whole(row.steps)),
        Column("memory", "MB", "Peak memory, MB", "of the model's own process", lambda row: whole(row.memory)),
    ]
    labelled = any(row.sure is not None for row in rows)
    return [column for column in every if labelled or column.key not in ("sure", "present")]
