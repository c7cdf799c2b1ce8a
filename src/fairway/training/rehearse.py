"""Before the first step: measure, put everything back, then decide what nobody said.

    threads     with a budget: steps on one and on all are timed; small networks are often faster on one
    compile     where the fit may outlast it (see `compile_worth`): steps of both kinds are timed
    precision   what the processor multiplies fast (see `precision`)
    steps       what the rest of a budget buys, with evaluations

The run is put back to its start, so that what was measured leaves no trace but these few values: a run given them
repeats this one bit for bit.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from fairway.core import parallel
from fairway.training.compilation import why_eager
from fairway.training.compile_worth import Record, key_of, recall, remember, worthwhile
from fairway.training.precision import chosen

if TYPE_CHECKING:
    from fairway.training.loop import Run

WARM, STEPS = 2, 10  # steps not timed, steps timed at most
MANY = 2_000  # steps of a fit in which timing a dozen to choose a compiler is not noticed
SHARE = 0.04  # of the budget, for each number of threads
GAIN = 0.9  # more threads must save a tenth, or one is kept: it does not care who else is on the machine


@contextmanager
def on_threads(threads: int | None) -> Iterator[None]:
    """Within, torch runs on so many threads (None: as many as it does)."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def rehearsed(run: "Run") -> Iterator[None]:
    """Fill in the plan; within, the run stands at its start, on the plan's threads, computing as the plan says.

    Args:
        run: about to start.
    """
    with on_threads(run.plan.threads):
        plan = run.plan
        plan.precision = "bfloat16" if chosen(plan.precision, run.engine.step, run.model.device) else "float32"
        run.engine.use(bool(plan.compile), plan.precision)
        if plan.steps is None or (plan.compile is None and plan.steps - run.step >= MANY and _could_gain(run)):
            _measure(run)
        plan.compile = bool(plan.compile)
        yield


def _measure(run: "Run") -> None:
    """Time steps and an evaluation, put the run back, fill in the plan."""
    began, start, plan = parallel.clock(), run.state(), run.plan
    seconds = _best_threads(run) if plan.steps is None else _step_seconds(run)
    evaluation = _evaluation_seconds(run) if plan.steps is None else 0.0
    if plan.compile is None and _could_gain(run):
        left = ((plan.budget or 0.0) - (parallel.clock() - began)) / seconds if plan.steps is None else plan.steps
        seconds = _faster(run, seconds, int(left))
    run.load_state(start)
    run.plan = plan
    if plan.steps is None:
        plan.buy(parallel.clock() - began, seconds, evaluation)


def _best_threads(run: "Run") -> float:
    """Settle on a number of threads; returns the seconds of a step on them."""
    plan, costs = run.plan, dict[int, float]()
    for threads in sorted({1, torch.get_num_threads()}) if plan.threads is None else [plan.threads]:
        torch.set_num_threads(threads)
        costs[threads] = _step_seconds(run)
    fewest, most = min(costs), max(costs)
    plan.threads = most if costs[most] < GAIN * costs[fewest] else fewest
    torch.set_num_threads(plan.threads)
    return costs[plan.threads]


def _could_gain(run: "Run") -> bool:
    """Whether compiling is possible and has a reason: a declaration, or an earlier measurement. One process only."""
    step = run.engine.step
    if parallel.together() or why_eager(step):
        return False
    return step.model.compiles or recall(_key(run)) is not None


def _key(run: "Run") -> str:
    return key_of(run.engine.step, run.batches.size, torch.get_num_threads(), run.plan.precision)


def _faster(run: "Run", eager: float, steps: int) -> float:
    """Compile where that saves time over so many steps; returns the seconds of a step as it is then taken."""
    plan, key = run.plan, _key(run)
    if not worthwhile(eager, steps, recall(key), declared=run.model.compiles):
        return eager
    run.engine.use(True, plan.precision)
    began = parallel.clock()
    run._take_step()
    compiling = max(parallel.clock() - began - eager, 1e-3)
    seconds = _step_seconds(run)
    remember(key, Record(compiling, eager / seconds))
    plan.compile = seconds < GAIN * eager
    if not plan.compile:
        run.engine.use(False, plan.precision)
    return min(seconds, eager)


def _step_seconds(run: "Run") -> float:
    """Seconds of one step as it is now taken."""
    limit, marks = SHARE * (run.plan.budget or math.inf), [parallel.clock()]
    while len(marks) <= WARM + 1 or (len(marks) <= WARM + STEPS and marks[-1] - marks[0] < limit):
        run._take_step()
        _wait_for(run.model.device)
        marks.append(parallel.clock())
        if len(marks) > 2 and marks[-1] - marks[-2] > limit:  # one step is all it takes to know
            return marks[-1] - marks[-2]
    return (marks[-1] - marks[WARM]) / (len(marks) - 1 - WARM)


def _evaluation_seconds(run: "Run") -> float:
    if run.monitor is None:
        return 0.0
    began = parallel.clock()
    with run.evaluated():
        run.monitor()
    return parallel.clock() - began


def _wait_for(device: torch.device) -> None:
    """Wait until the device has done what was asked, so that a clock means something."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
