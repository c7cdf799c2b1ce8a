"""A training curve as an inline SVG: the loss in grey, the monitored held-out metric in colour, steps to the right.

Each has a scale of its own (a critic's loss and a distance share no unit): the loss's range stands at the left, the
monitor's at the right. The first steps are cut off at the 95th percentile, so that the end can be seen.
"""

import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 320, 130, 46, 8, 46, 22
POINTS = 240  # at most

Pair = tuple[float, float]


def curve(rows: Sequence[dict[str, Any]], name: str = "") -> str:
    """The SVG, or "" where there is nothing to draw.

    Args:
        rows: the log of training: dicts with step, loss and, at evaluations, monitor.
        name: whose curve it is, for readers who do not see it.
    """
    lines = drawn(rows)
    if not lines:
        return ""
    last = max(points[-1][0] for points in lines.values())
    label = f"Training curve of {name}: " + ", ".join(
        f"{key} from {points[0][1]:.3g} to {points[-1][1]:.3g}" for key, points in lines.items()
    )
    parts = [_frame(last), *(_line(key, points, last) for key, points in lines.items())]
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}"'
    return f'<svg class="curve" {box}>{"".join(parts)}</svg>'


def drawn(rows: Sequence[dict[str, Any]]) -> dict[str, list[Pair]]:
    """Which lines there are ("loss", "monitor"), with their points (step, value): those with two points or more."""
    lines = {key: _finite(rows, key) for key in ("loss", "monitor")}
    return {key: points for key, points in lines.items() if len(points) > 1}


def _finite(rows: Sequence[dict[str, Any]], key: str) -> list[Pair]:
    """(step, value), thinned."""
    found = [(float(r["step"]), float(r[key])) for r in rows if isinstance(r.get(key), int | float)]
    found = [pair for pair in found if math.isfinite(pair[1])]
    every = max(1, -(-len(found) // POINTS))
    return found[::every] + ([found[-1]] if found and (len(found) - 1) % every else [])


def _frame(last: float) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    axis = f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}V{TOP}"/>'
    steps = f'<text x="{right}" y="{HEIGHT - 6}" text-anchor="end">{last:,.0f} steps</text>'
    return axis + steps


def _line(key: str, points: list[Pair], last: float) -> str:
    """One polyline with the two ends of its scale."""
    values = sorted(value for _, value in points)
    low, high = values[0], values[min(len(values) - 1, math.ceil(0.95 * len(values)))]
    high = high if high > low else low + 1.0
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT

    def place(step: float, value: float) -> str:
        x = LEFT + (right - LEFT) * step / max(last, 1)
        y = bottom - (bottom - TOP) * (min(value, high) - low) / (high - low)
        return f"{x:.1f},{y:.1f}"

    digits = 3 if f"{low:.3g}" != f"{high:.3g}" else 5
    at, anchor = (LEFT - 5, "end") if key == "loss" else (right + 5, "start")
    ends = "".join(
        f'<text class="{key}" x="{at}" y="{y}" text-anchor="{anchor}">{_short(value, digits)}</text>'
        for y, value in ((TOP + 8, high), (bottom, low))
    )
    return f'<polyline class="{key}" points="{" ".join(place(*pair) for pair in points)}"/>{ends}'


def _short(value: float, digits: int) -> str:
    """Significant digits, 4.21e3 rather than 4.21e+03: the margin is narrow."""
    return re.sub(r"e([+-])0*", lambda found: "e" + found[1].strip("+"), f"{value:.{digits}g}")
