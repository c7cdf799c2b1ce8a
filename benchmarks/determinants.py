"""Seconds of log|det J|: of any matrix against a triangular one, whose determinant is the product of its diagonal.

One thread, float64, medians; the slopes are fitted to the larger half of the sizes, where the fixed cost of a call no
longer shows.

Writes benchmarks/results/determinants.json and docs/pictures/determinants.png; exits 1 if the general one does not grow
faster than n^2, or the triangular one faster than n^1.5.

    python benchmarks/determinants.py        half a minute on one core
"""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import _record
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch

REPEATS, LEAST = 9, 2e-3  # measurements, and seconds of each at least
GENERAL = tuple(2**k for k in range(3, 12))
TRIANGULAR = tuple(2**k for k in range(3, 22, 2))
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "determinants.png"


def seconds(function: Callable[[], object]) -> float:
    """CPU seconds of a call, by the median of some runs of as many calls as take a while."""
    function()
    calls, found = 1, []
    while len(found) < REPEATS:
        began = time.process_time()
        for _ in range(calls):
            function()
        took = time.process_time() - began
        if took < LEAST:
            calls *= 2
        else:
            found.append(took / calls)
    return median(found)


def general(n: int) -> float:
    """log|det A| of any A (n, n), by its LU factors."""
    matrix = torch.randn(n, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    return seconds(lambda: torch.linalg.slogdet(matrix))


def triangular(n: int) -> float:
    """log|det L| of a triangular L, by its diagonal (n,): all that a flow ever computes of it."""
    diagonal = torch.rand(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64) + 0.5
    return seconds(lambda: diagonal.log().sum())


def slope(sizes: tuple[int, ...], times: list[float]) -> float:
    """The power of n, by least squares on the logs of the larger half."""
    half = len(sizes) // 2
    x, y = ([math.log(v) for v in values[half:]] for values in (sizes, times))
    mx, my = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True)) / sum((a - mx) ** 2 for a in x)


def picture(found: dict[str, dict]) -> None:
    """Both on logarithmic axes, with the lines that they should follow."""
    figure, axes = plt.subplots(figsize=(6, 3.8), dpi=110)
    for (name, row), power, colour in zip(found.items(), (3, 1), ("tab:red", "tab:blue"), strict=True):
        n, s = row["sizes"], row["seconds"]
        axes.loglog(n, s, "o-", color=colour, label=f"{name}: measured n^{row['power']:.1f} at the end")
        line = [s[-1] * (a / n[-1]) ** power for a in n]
        kept = [i for i, value in enumerate(line) if value > 2e-7]
        axes.loglog([n[i] for i in kept], [line[i] for i in kept], ":", color=colour, label=f"n^{power}")
    axes.set(xlabel="n, entries of an observation", ylabel="CPU seconds of log|det J|", ylim=(1e-6, None))
    axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE)


def main() -> int:
    """Measure, write, judge."""
    torch.set_num_threads(1)
    began, found = time.perf_counter(), {}
    for name, measure, sizes in (("general", general, GENERAL), ("triangular", triangular, TRIANGULAR)):
        times = [measure(n) for n in sizes]
        found[name] = {"sizes": list(sizes), "seconds": times, "power": slope(sizes, times)}
        print(f"{name}: n^{found[name]['power']:.2f}, {times[-1]:.2g} s at n = {sizes[-1]:,}")
    _record.write("determinants", began, {"rows": found})
    picture(found)
    return int(not (found["general"]["power"] > 2 and found["triangular"]["power"] < 1.5))


if __name__ == "__main__":
    sys.exit(main())
