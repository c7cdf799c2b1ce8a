"""Does compiled training pay? Eager against compiled steps of six models at their default sizes, on one thread.

Each model trains a few float64 steps both ways first: the loss curves must agree to 1e-9, or nothing is timed. Then
float32 steps, eager and compiled in turn, in CPU time (medians of many short blocks), and compilation twice, each in a
process of its own: cold (an empty cache) and warm (the cache of the first), in CPU time, compiler included. A fit pays
for its compilation after compile seconds / (eager seconds of a step * (1 - 1 / gain)) steps.

Writes benchmarks/results/compile.json; exits 1 if losses differ, or a model that is declared to gain (`Model.compiles`)
does not, by a tenth.

    python benchmarks/compile.py        about 20 minutes on one core, nearly all of it compilation
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

os.environ |= {"TORCHINDUCTOR_COMPILE_THREADS": "1", "OMP_NUM_THREADS": "1"}  # compilers as children: their time counts

import _record
import torch

from fairway.core.config import lookup
from fairway.core.objective import Batch, Loss, Step
from fairway.core.random import Rows, mix, seeded
from fairway.data import load
from fairway.training.compilation import compiled, why_eager

torch.set_num_threads(1)
MODELS = ("made", "vae", "real_nvp", "wgan_gp", "flow_matching", "ebm")
JOBS = [(name, "digits") for name in MODELS] + [("real_nvp", "moons"), ("vae", "moons"), ("flow_matching", "moons")]
BLOCKS, STEPS, SAME = 25, 5, 1e-9
GAIN, NOISE = 1.1, 1.05  # what a declared model must gain; what may be chance
Forward = Callable[..., Loss]


class Training:
    """A model with its objective, data in model units, and an optimiser per player."""

    def __init__(self, name: str, data: str, dtype: torch.dtype) -> None:
        rows = load(data)
        with seeded(0):
            model = lookup("model", name)(rows.event)
            model.preprocess.fit(rows.x)
            objective = model.default_objective()
            objective.setup(model)
        self.step, self.taken = Step(model, objective).to(dtype).train(), 0
        x = rows.x[:1024]
        self.u = model._to_model(x, Rows(1, len(x)))[0].detach().to(dtype)
        self.phases, players = list(objective.phases(model)), objective.players(model)
        self.movers = {
            phase.player: torch.optim.AdamW(players[phase.player].parameters(), lr=1e-4, fused=True)
            for phase in self.phases
        }

    def go_on(self, forward: Forward, steps: int) -> list[float]:
        """The losses of some steps."""
        found, size, dtype = [], self.step.objective.batch_size_of(self.step.model), self.u.dtype
        for k in range(self.taken, self.taken + steps):
            for index, phase in enumerate(self.phases):
                for repeat in range(phase.times):
                    seed = mix(k, index, repeat)
                    batch = Batch(self.u[torch.randint(len(self.u), (size,), generator=Rows(seed, 1).shared())])
                    with seeded(seed):
                        loss = forward(batch, phase, Rows(seed, size, 0, dtype))
                    self.move(loss, phase.player)
                    if phase.after:
                        phase.after(self.step.model)
                    found.append(loss.total.detach())
        self.taken += steps
        return torch.stack(found).tolist()

    def move(self, loss: Loss, player: str) -> None:
        own = self.movers[player].param_groups[0]["params"]
        for p, g in zip(own, torch.autograd.grad(loss.total, own, allow_unused=True), strict=True):
            p.grad = g if g is None or g.stride() == p.stride() else torch.empty_like(p).copy_(g)
        self.movers[player].step()


def cpu_seconds() -> float:
    """Of this process and of the compilers it called."""
    use = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in use)


def largest_difference(name: str, data: str, steps: int = 4) -> float:
    """Between the float64 losses of eager and compiled steps, relative."""
    eager, fast = Training(name, data, torch.float64), Training(name, data, torch.float64)
    forward = compiled(fast.step)
    pairs = zip(eager.go_on(eager.step, steps), fast.go_on(forward, steps), strict=True)
    if getattr(forward, "eager", True):
        raise RuntimeError(f"{name} was not compiled")
    return max(abs(a - b) / max(1.0, abs(a)) for a, b in pairs)


def measure(name: str, data: str, what: str) -> dict[str, Any]:
    """One process's numbers: "same", "cold" or "warm"."""
    if what == "same":
        return {"difference": largest_difference(name, data)}
    training = Training(name, data, torch.float32)
    forward = compiled(training.step)
    training.go_on(training.step, 2)
    began, wall = cpu_seconds(), time.perf_counter()
    training.go_on(forward, 1)
    found: dict[str, Any] = {f"{what}_cpu_s": cpu_seconds() - began, f"{what}_s": time.perf_counter() - wall}
    return found | (timed(training, forward) if what == "warm" else {})


def timed(training: Training, forward: Forward) -> dict[str, float]:
    """Milliseconds of CPU time per step, eager and compiled in turn, and the median of their ratios."""
    times: dict[str, list[float]] = {"eager_ms": [], "compiled_ms": []}
    for _ in range(BLOCKS):
        for side, function in zip(times, (training.step, forward), strict=True):
            began = time.process_time()
            training.go_on(function, STEPS)
            times[side].append(1e3 * (time.process_time() - began) / STEPS)
    ratios = [a / b for a, b in zip(*times.values(), strict=True)]
    return {side: median(values) for side, values in times.items()} | {"gain": median(ratios)}


def row_of(name: str, data: str) -> dict[str, Any]:
    """All numbers of a model, each kind from a process of its own with the same cache."""
    model = Training(name, data, torch.float32).step
    row: dict[str, Any] = {"model": name, "data": data, "declared": model.model.compiles, "eager_because": None}
    row |= {
        "parameters": sum(p.numel() for p in model.parameters()),
        "batch": model.objective.batch_size_of(model.model),
    }
    reason = why_eager(model)
    if reason:
        return row | {"eager_because": reason}
    with tempfile.TemporaryDirectory() as cache:
        for what in ("same", "cold", "warm"):
            environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
            command = [sys.executable, __file__, name, data, what]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            row |= json.loads(done.stdout.splitlines()[-1])
    saved = row["eager_ms"] / 1e3 * (1 - 1 / row["gain"]) if row["gain"] >= NOISE else None
    pays = {f"{k}_pays_after": saved and round(row[f"{k}_cpu_s"] / saved) for k in ("cold", "warm")}
    return row | pays


def main() -> int:
    """Measure, write, judge."""
    began, rows = time.perf_counter(), []
    for name, data in JOBS:
        rows.append(row_of(name, data))
        print({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    _record.write("compile", began, {"rows": rows, "blocks": BLOCKS, "steps": STEPS})
    wrong = [r["model"] for r in rows if r.get("difference", 0.0) > SAME]
    slow = [f"{r['model']} on {r['data']}" for r in rows if r["declared"] and r.get("gain", 0.0) < GAIN]
    print("losses differ: " + ", ".join(wrong) if wrong else "losses agree")
    print("declared to gain and do not: " + ", ".join(slow) if slow else "declarations hold")
    return int(bool(wrong or slow))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        sys.exit(main())
