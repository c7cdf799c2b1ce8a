"""Before a run with a time budget: measure, put everything back, then decide.

Some steps are taken on one thread and on all of them, and one evaluation is timed; small networks are often faster on
one thread, and on a shared machine much faster. Then the run is put back to its start, so that what was measured
leaves no trace but two numbers: the threads, and the steps that the budget buys. A run given those numbers instead of
a budget repeats this one bit for bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from fairway.core import parallel

if TYPE_CHECKING:
    from fairway.training.loop import Run

WARM, STEPS = 2, 10  # steps not timed, steps timed at most
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
    """Choose `run.plan.threads`, `steps` and `evaluate_every`; within, the run stands at its start on those threads.

    Args:
        run: about to start, with a budget and without steps.
    """
    began, start, plan = parallel.clock(), run.state(), run.plan
    with on_threads(None):
        choices = sorted({1, torch.get_num_threads()}) if plan.threads is None else [plan.threads]
        costs = {threads: _step_seconds(run, threads) for threads in choices}
        fewest, most = min(costs), max(costs)
        plan.threads = most if costs[most] < GAIN * costs[fewest] else fewest
        torch.set_num_threads(plan.threads)
        evaluation = _evaluation_seconds(run)
        run.load_state(start)
        run.plan = plan
        plan.buy(parallel.clock() - began, costs[plan.threads], evaluation)
        yield


def _step_seconds(run: "Run", threads: int) -> float:
    """Seconds of one step on so many threads."""
    torch.set_num_threads(threads)
    limit, marks = SHARE * (run.plan.budget or 0.0), [parallel.clock()]
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
