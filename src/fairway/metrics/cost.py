"""What a model costs: parameters, strokes, seconds, memory.

Strokes are network evaluations per sample, the golf score of a sampler. Seconds are wall time of this process on this
machine, the median of repeated draws. Peak memory is the largest resident set of the whole process, interpreter and
libraries included, so it compares models only when each runs in a process of its own.
"""

import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

MEGABYTE = 1024.0 * 1024.0


def parameters(model: Any) -> int:
    """Learned numbers of the model: entries of its parameters, or of its floating buffers where it has none."""
    learned = sum(p.numel() for p in model.parameters())
    return learned or sum(b.numel() for b in _fitted_buffers(model))


def strokes(model: Any, *, context: Any = None, generator: int = 0) -> float:
    """Network evaluations per sample of the model's own sampler."""
    return float(model.draw(2, context=context, generator=generator).evaluations)


def seconds_per_1000(
    model: Any, *, context: Any = None, n: int = 1000, repeats: int = 3, patience: float = 5.0, generator: int = 0
) -> float:
    """Wall seconds per 1,000 samples: the median over draws of n, after a first small one that warms up.

    Args:
        repeats: draws to take the median of; fewer when they take longer than `patience` seconds together.
        context: one context (*C) to sample under, for conditional models.

    Raises:
        ValueError: n or repeats below 1.
    """
    if n < 1 or repeats < 1:
        raise ValueError(f"expected n and repeats of at least 1, got {n} and {repeats}")
    model.sample(min(n, 10), context=context, generator=generator)
    taken: list[float] = []
    while len(taken) < repeats and sum(taken) < patience:
        start = time.perf_counter()
        model.sample(n, context=context, generator=generator)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000 / n


def peak_memory() -> float:
    """Largest resident set of this process so far, in MB (2^20 bytes).

    On Linux from /proc: `getrusage` there hands a child the peak of the process that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        if line is not None:
            return int(line.split()[1]) * 1024 / MEGABYTE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MEGABYTE if sys.platform == "darwin" else peak * 1024 / MEGABYTE


def _fitted_buffers(model: Any) -> list[Any]:
    """Buffers of the model that hold numbers, without those of its units (preprocessing)."""
    units = {id(b) for part in (model.preprocess, model.context_preprocess) if part is not None for b in part.buffers()}
    saved = model.state_dict(keep_vars=True)
    return [b for b in saved.values() if b.is_floating_point() and id(b) not in units]
