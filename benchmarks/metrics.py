"""All point values of the metrics together, n = 2,000 rows of 64 entries: under ten CPU-seconds on one thread.

Two sets of rows from laws that differ a little (a Gaussian and a Student t of the same covariance), a mixture with
known modes for the mode metrics; bootstrap intervals and permutations are not point values. Writes
benchmarks/results/metrics.json and exits 1 over the goal.

    python benchmarks/metrics.py        about 15 seconds on one core
"""

import os

os.environ.update({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})

import sys
import time
from collections.abc import Callable
from typing import Any

import _record
import torch

from fairway.core.random import generator_for
from fairway.metrics.divergence import divergences
from fairway.metrics.features import feature_metrics
from fairway.metrics.memorisation import memorisation
from fairway.metrics.modes import mode_metrics
from fairway.metrics.parzen import parzen
from fairway.metrics.two_sample import classifier_test, kernel_test, moment_test, neighbour_test

N, D, GOAL = 2000, 64, 10.0


def rows_of(seed: int, tail: float | None = None) -> torch.Tensor:
    """(N, D) correlated rows; with `tail` the degrees of freedom of a Student t, scaled to the same covariance."""
    generator = generator_for(seed)
    z = torch.randn(N, D, generator=generator, dtype=torch.float64)
    mix = torch.linalg.qr(torch.randn(D, D, generator=generator_for(0), dtype=torch.float64))[0]
    x = (z * torch.linspace(0.2, 2.0, D)) @ mix
    if tail is None:
        return x
    chi2 = torch._standard_gamma(torch.full((N, 1), tail / 2, dtype=torch.float64), generator=generator) * 2
    return x * ((tail - 2) / chi2).sqrt()


def main() -> int:
    """Measure, write, judge."""
    torch.set_num_threads(1)
    began, cpu = time.perf_counter(), {}
    samples, data, fresh = rows_of(1, tail=8.0), rows_of(2), rows_of(3)
    centres = 6 * torch.eye(D, dtype=torch.float64)[:8]
    label = torch.randint(8, (N,), generator=generator_for(4))
    blobs = centres[label] + torch.randn(N, D, generator=generator_for(5), dtype=torch.float64)

    calls: dict[str, Callable[[], Any]] = {
        "divergences": lambda: divergences(samples, data),
        "features": lambda: feature_metrics(samples, data, deals=0),
        "memorisation": lambda: memorisation(samples, data, fresh),
        "modes": lambda: mode_metrics(blobs, centres, 1.0),
        "parzen": lambda: parzen(samples, data, fresh),
        "moments": lambda: moment_test(samples, data, permutations=1),
        "kernel": lambda: kernel_test(samples, data, permutations=1),
        "neighbours": lambda: neighbour_test(samples, data, permutations=1),
        "classifier": lambda: classifier_test(samples, data, permutations=1),
    }
    divergences(samples[:64], data[:64])  # imports are not part of a value,
    classifier_test(samples[:64], data[:64], permutations=1)  # neither those of a first optimiser
    for name, call in calls.items():
        start = time.process_time()
        call()
        cpu[name] = round(time.process_time() - start, 3)
        print(f"{name:14s} {cpu[name]:.2f} s", flush=True)
    total = round(sum(cpu.values()), 2)
    _record.write("metrics", began, {"cpu_seconds": cpu, "total": total, "goal": GOAL, "n": N, "d": D})
    print(f"{'ok' if total <= GOAL else 'MISS'}: {total} s in all (goal {GOAL})")
    return int(total > GOAL)


if __name__ == "__main__":
    sys.exit(main())
