"""Normalizing flows against zuko, nflows and normflows: same architecture and number of parameters, one thread.

One process, CPU time, medians of repeats that take turns. All flows have 5 transforms, conditioners of 2 hidden layers
of 128 and our preset's activation; splines have 8 bins on [-5, 5]. Before anything is timed, peers get our weights
where the architectures coincide and must find the same log density (float64); numbers of parameters agree to 2 %.

    train                 zero gradients, loss, backward, Adam: ours fused, peers the usual one (in brackets fused, too)
    density               log density without gradients
    sample                n draws
    sample_and_log_prob   n draws with their log density

Ours are the hooks in model units. Compiled rows hold our compiled time against the better of a peer's compiled and
eager times (a peer that does not compile within three minutes has its eager one). Ratio = best peer / ours; compiled
rows also say `ratio_eager`, against the best peer as it comes. Goals:

    nsf training          2.0 compiled; eager 1.4 at D = 63, 1.0 at D = 6
    nsf density           4 at D = 63, 2 at D = 6, compiled
    maf                   training 1.3, density 1.4, D = 63, compiled
    real_nvp              training 1.5, density 1.8, D = 63, compiled
    eager                 nowhere slower than the best peer
    maf sampling, iaf density        D = 63: 8 at 256 rows, 25 at 4,096; D = 6: 2
    nsf_autoregressive sampling      D = 63: 20; D = 6: 2
    coupling flows        a sample with its log density costs at most 1.1 times a sample

Writes benchmarks/results/flows.json and exits 1 where a goal is missed.

    python benchmarks/flows.py                      all rows; hours, most of them the peers' compilation
    python benchmarks/flows.py --quick              fewer repeats, nothing compiled
    python benchmarks/flows.py --rows "maf train"   rows whose name has all these words, into the file that is there
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}

import argparse
import importlib.metadata
import json
import logging
import math
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import _flow_peers as peers
import _flow_twins as twins
import _record
import torch
from _flow_peers import Architecture, Side
from torch import Tensor

from fairway.core.config import lookup
from fairway.core.event import Event
from fairway.core.random import Rows, seeded

torch.set_num_threads(1)
logging.disable(logging.WARNING)  # compilers tell of every graph that a peer breaks
warnings.filterwarnings("ignore")
torch._dynamo.config.suppress_errors = False

DIMS, BATCHES, MODES = (2, 6, 63), (256, 4096), ("eager", "compiled")
OPERATIONS = ("train", "density", "sample", "sample_and_log_prob")
COMPILE_LIMIT, SECONDS, MOST_REPEATS = 180, 2.0, 9
PEERS = ("zuko", "nflows", "normflows")
OURS = {
    "real_nvp": ("real_nvp", {}),
    "maf": ("maf", {}),
    "iaf": ("iaf", {}),
    "nsf_coupling": ("nsf", {"kind": "coupling", "mixing": "halves"}),  # the peers have no linear maps between, either
    "nsf_autoregressive": ("nsf", {"kind": "autoregressive"}),
}
LARGE_GOALS = {  # at D = 63, compiled
    ("real_nvp", "train"): 1.5,
    ("real_nvp", "density"): 1.8,
    ("maf", "train"): 1.3,
    ("maf", "density"): 1.4,
    ("nsf", "train"): 2.0,
    ("nsf", "density"): 4.0,
}


@dataclass(frozen=True)
class Cell:
    """One thing to measure on all sides; gives a row per mode."""

    system: str
    operation: str
    dims: int
    batch: int

    @property
    def modes(self) -> tuple[str, ...]:
        """Sampling and the slow directions are sequential loops of many small steps: they run eagerly everywhere."""
        return MODES if self.operation in ("train", "density") and self.system != "iaf" else ("eager",)

    @property
    def slow(self) -> bool:
        """One entry after the other."""
        autoregressive = self.system in ("maf", "nsf_autoregressive") and self.operation not in ("train", "density")
        return autoregressive or (self.system == "iaf" and self.operation == "density")

    def name(self, mode: str) -> str:
        return f"{self.system} {self.operation} D={self.dims} B={self.batch} {mode}"

    def goal(self, mode: str) -> float | None:
        """The smallest ratio wanted."""
        family = self.system.partition("_")[0] if self.system.startswith("nsf") else self.system
        if self.slow:
            return self._slow_goal()
        if mode == "eager":
            return 1.4 if (family, self.operation, self.dims) == ("nsf", "train", 63) else 1.0
        if family == "nsf" and self.dims == 6:
            return 2.0
        return LARGE_GOALS.get((family, self.operation)) if self.dims == 63 else None

    def _slow_goal(self) -> float | None:
        if self.dims == 63 and self.system == "nsf_autoregressive":
            return 20.0
        return {2: 1.0, 6: 2.0, 63: 8.0 if self.batch == 256 else 25.0}[self.dims]


def cells() -> Iterator[Cell]:
    """Everything that the table holds."""
    for system in peers.SYSTEMS:
        operations = ("density", "sample") if system == "iaf" else OPERATIONS
        yield from (Cell(system, o, d, b) for d in DIMS for b in BATCHES for o in operations)


# ------------------------------------------------------------------------------------------------------------- sides
def ours(architecture: Architecture) -> Side:
    """Our model's hooks."""
    name, options = OURS[architecture.system]
    options = {"transforms": architecture.transforms, "hidden": architecture.hidden, **options}
    with seeded(0):
        model = lookup("model", name)(Event((architecture.dims,)), **options)
    return Side(
        model,
        model._log_prob,
        lambda n: model._sample(n, None, Rows(0, n)),
        lambda n: model._rsample_and_log_prob(n, None, Rows(0, n)),
    )


def ours_compiled(side: Side) -> Callable[[Tensor], Tensor]:
    """What the library compiles: the whole of the log density, as `fit(compile=...)` and `Flow.compile` do."""
    return torch.compile(side.log_prob, dynamic=False, fullgraph=True)


def sides(architecture: Architecture) -> dict[str, Side]:
    """Ours and every peer, numbers of parameters within 2 %.

    Raises:
        SystemExit: they are not.
    """
    built = {"fairway": ours(architecture)}
    architecture = replace(architecture, act=twins.activation(built["fairway"].module).__name__.lower())
    for name in PEERS:
        with seeded(0):
            built[name] = peers.PEERS[name](architecture)
    for name, side in built.items():
        if abs(side.parameters / built["fairway"].parameters - 1) > 0.02:
            raise SystemExit(
                f"{architecture}: {name} has {side.parameters}, ours {built['fairway'].parameters} numbers"
            )
    return built


def agreement() -> dict[str, float]:
    """How far apart log densities are on shared weights, by system and library (normflows' parts are nflows').

    Raises:
        SystemExit: further than rounding.
    """
    found = {}
    for system, (name, options) in OURS.items():
        if system != "iaf":  # the inverse of maf
            model = twins.redrawn(name, 6, **options)
            found |= {f"{system}, {library}": twins.disagreement(model, library) for library in twins.TWINS}
    print(
        "log densities on the same weights differ by", ", ".join(f"{off:.0e} ({name})" for name, off in found.items())
    )
    if max(found.values()) > 1e-8:
        raise SystemExit("both sides must compute the same before they are timed")
    return found


# --------------------------------------------------------------------------------------------------------- measuring
def call(cell: Cell, side: Side, log_prob: Callable[[Tensor], Tensor], fused: bool) -> Callable[[], object]:
    """The operation as a function without arguments."""
    u = torch.randn(cell.batch, cell.dims, generator=torch.Generator().manual_seed(0))
    if cell.operation == "train":
        return _step(side, log_prob, u, fused)
    if cell.operation == "density":
        return torch.no_grad()(lambda: log_prob(u))
    draw = side.sample if cell.operation == "sample" else side.sample_and_log_prob
    return torch.no_grad()(lambda: draw(cell.batch))


def _step(side: Side, log_prob: Callable[[Tensor], Tensor], u: Tensor, fused: bool) -> Callable[[], object]:
    """The rate is small, so that all sides stay where they began."""
    optimiser = torch.optim.Adam(side.module.parameters(), lr=1e-6, fused=True if fused else None)

    def step() -> None:
        optimiser.zero_grad()
        loss = -log_prob(u).mean()
        loss.backward()
        optimiser.step()

    return step


class TooLong(Exception):
    """A compilation that took more than its time."""


def first(name: str, function: Callable[[], object]) -> str | None:
    """Run once; None, or why not, which only a peer's compilation may say."""
    if "compiled" not in name or name.startswith("fairway"):
        function()
        return None

    def stop(*_: Any) -> None:
        raise TooLong(f"does not compile within {COMPILE_LIMIT} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(COMPILE_LIMIT)
    try:
        function()
    except Exception as error:  # a compiler fails in many ways
        return (str(error).strip() or type(error).__name__).split("\n")[0][:100]
    finally:
        signal.alarm(0)
    return None


def seconds(function: Callable[[], object], times: int = 1) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - began) / times


def race(functions: dict[str, Callable[[], object]], budget: float) -> dict[str, float]:
    """Median CPU milliseconds of a call by name, the sides taking turns; a call of many seconds runs once."""
    once = {name: seconds(function) for name, function in functions.items()}
    times = {name: max(1, math.ceil(0.02 / t)) for name, t in once.items()}
    repeats = {name: min(MOST_REPEATS, int(budget / (t * times[name]))) for name, t in once.items()}
    found: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(max(repeats.values())):
        for name, function in functions.items():
            if turn < repeats[name]:
                found[name].append(seconds(function, times[name]))
    return {name: 1e3 * median(found[name] or [once[name]]) for name in functions}


def functions_of(cell: Cell, modes: list[str]) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """What to race, by name, and why something is not in it."""
    functions, why = {}, {}
    for name, side in sides(Architecture(cell.system, cell.dims)).items():
        for mode in [m for m in MODES if m in modes or m == "eager"]:
            label = name if mode == "eager" else f"{name} compiled"
            log_prob = side.log_prob
            if mode == "compiled":
                log_prob = ours_compiled(side) if name == "fairway" else torch.compile(side.log_prob, dynamic=False)
            function = call(cell, side, log_prob, fused=name == "fairway")
            reason = first(label, function)
            if reason:
                why[label] = reason
                continue
            functions[label] = function
            if cell.operation == "train" and name != "fairway":
                functions[f"{label} fused"] = call(cell, side, log_prob, fused=True)
    return functions, why


def measure(cell: Cell, modes: list[str], budget: float) -> list[dict[str, Any]]:
    """A row per mode."""
    torch._dynamo.reset()  # every size compiles afresh, as in a process of its own
    functions, why = functions_of(cell, modes)
    ms = race(functions, budget)
    return [row(cell, mode, ms, why) for mode in modes]


# ------------------------------------------------------------------------------------------------------------ judging
def best_of(ms: dict[str, float], name: str, mode: str, suffix: str = "") -> float:
    """A side's time: compiled rows allow it the better of both."""
    labels = [f"{name}{suffix}"] + ([f"{name} compiled{suffix}"] if mode == "compiled" else [])
    return min(ms.get(label, math.inf) for label in labels)


def row(cell: Cell, mode: str, ms: dict[str, float], why: dict[str, str]) -> dict[str, Any]:
    """What is recorded: times, ratio, goal."""
    mine = ms.get("fairway" if mode == "eager" else "fairway compiled", math.inf)
    theirs = {name: best_of(ms, name, mode) for name in PEERS}
    found = {**vars(cell), "mode": mode, "name": cell.name(mode), "fairway_ms": mine}
    found |= {f"{name}_ms": value for name, value in theirs.items()}
    found["ratio"] = min(theirs.values()) / mine
    found["ratio_eager"] = min(best_of(ms, name, "eager") for name in PEERS) / mine
    if cell.operation == "train":
        fused = {name: best_of(ms, name, mode, " fused") for name in PEERS}
        found |= {f"{name}_fused_ms": value for name, value in fused.items()}
        found["ratio_fused"] = min(fused.values()) / mine
    found["goal"] = cell.goal(mode)
    found["passed"] = found["goal"] is None or found["ratio"] >= found["goal"]
    found["all_ms"] = {name: round(value, 4) for name, value in ms.items()}
    found["why"] = why
    found["commit"] = _record.commit()
    return found


def draws_with_density(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Coupling flows: what the log density adds to a draw."""
    mine = {(r["system"], r["dims"], r["batch"], r["operation"]): r["fairway_ms"] for r in rows}
    found = []
    for (system, dims, batch, operation), ms in mine.items():
        plain = mine.get((system, dims, batch, "sample"))
        if system in ("real_nvp", "nsf_coupling") and operation == "sample_and_log_prob" and plain:
            name = f"{system} D={dims} B={batch}: sample with log density / sample"
            found.append({"name": name, "times": ms / plain, "goal": 1.1, "passed": ms <= 1.1 * plain})
    return found


HEADER = (
    f"{'row':<58} {'ours ms':>9} {'zuko':>9} {'nflows':>9} {'normflows':>9} {'ratio':>7} {'(fused)':>8} {'goal':>5}"
)


def line(r: dict[str, Any]) -> str:
    """A row of the table."""
    fused = f"({r['ratio_fused']:.2f})" if "ratio_fused" in r else ""
    goal = "" if r["goal"] is None else f"{r['goal']:.1f}"
    verdict = "" if r["goal"] is None else "ok" if r["passed"] else "MISS"
    times = " ".join(f"{r[f'{name}_ms']:9.2f}" for name in ("fairway", *PEERS))
    return f"{r['name']:<58} {times} {r['ratio']:7.2f} {fused:>8} {goal:>5} {verdict}"


def wanted(words: str, quick: bool) -> Iterator[tuple[Cell, list[str]]]:
    """Cells with the modes that are asked for."""
    for cell in cells():
        modes = [m for m in cell.modes if all(word in cell.name(m).split() for word in words.split())]
        modes = [m for m in modes if not (quick and m == "compiled")]
        if modes:
            yield cell, modes


def kept(names: set[str]) -> list[dict[str, Any]]:
    """Rows of an earlier run that this one did not measure."""
    path = _record.RESULTS / "flows.json"
    return [r for r in json.loads(path.read_text())["rows"] if r["name"] not in names] if path.exists() else []


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="words that a row's name must have, such as 'maf D=63 compiled'")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, nothing compiled")
    return parser.parse_args()


def main() -> int:
    """Check, run, write, judge."""
    began, given = time.perf_counter(), parse()
    agreed = agreement()
    print(HEADER, flush=True)
    rows: list[dict[str, Any]] = []
    for cell, modes in wanted(given.rows, given.quick):
        for found in measure(cell, modes, SECONDS / (4 if given.quick else 1)):
            rows.append(found)
            print(line(found), *(f"{name}: {reason}" for name, reason in found["why"].items()), flush=True)
    names = {r["name"] for r in rows}
    rows += kept(names) if given.rows else []
    extra = draws_with_density(rows)
    versions = {name: importlib.metadata.version(name) for name in PEERS}
    _record.write("flows", began, {"peers": versions, "agreement": agreed, "rows": rows, "draws_with_density": extra})
    for found in extra:
        print(f"{found['name']}: {found['times']:.2f} {'ok' if found['passed'] else 'MISS'}")
    missed = [r["name"] for r in [*rows, *extra] if not r["passed"]]
    print("missed: " + "; ".join(missed) if missed else "all goals reached")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
