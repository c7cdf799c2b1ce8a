"""Everything the next step of a run depends on: taken as named tensors and a few counters, and put back.

    model.*  objective.*  average.*  optimiser.PLAYER.*     change at every step
    best.*                                                  is replaced rather than changed
    step, drawn, spent, stale, best, plan                   numbers

Order and noise are functions of (seed, step), so nothing else is needed to take the next step in the same bits.
"""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from fairway.training import checkpoint
from fairway.training.plan import Plan

if TYPE_CHECKING:
    from fairway.training.loop import Run


def take(run: "Run", into: checkpoint.Snapshot | None = None) -> checkpoint.Snapshot:
    """A copy; the memory of an earlier one is used again where it fits."""
    return checkpoint.copies(moving(run), into[0] if into else None) | _kept(run), counters(run)


def moving(run: "Run") -> dict[str, Tensor]:
    """Tensors that the next step changes."""
    tensors = checkpoint.module_tensors("model", run.model)
    tensors |= checkpoint.module_tensors("objective", run.objective)
    tensors |= {f"average.{name}": value for name, value in run.average.shadow.items()}
    for name, mover in run.movers.items():
        tensors |= checkpoint.optimiser_tensors(name, mover.optimiser)
    return tensors


def _kept(run: "Run") -> dict[str, Tensor]:
    return {f"best.{name}": value for name, value in run.best.items()}


def counters(run: "Run") -> dict[str, Any]:
    """The numbers, JSON-ready."""
    return {
        "step": run.step,
        "drawn": run.batches.drawn,
        "spent": run.spent,
        "stale": run.stale,
        "best": run.history.best,
        "best_step": run.history.best_step,
        "stopped": run.history.stopped,
        "plan": run.plan.to_dict(),
    }


def put_back(run: "Run", snapshot: checkpoint.Snapshot) -> None:
    """Go back (or on) to a snapshot; the log forgets what came after it."""
    tensors, numbers = run.engine.pieces(snapshot[0], _held(run)), snapshot[1]
    checkpoint.load_module("model", run.model, tensors)
    checkpoint.load_module("objective", run.objective, tensors)
    for name, mover in run.movers.items():
        checkpoint.load_optimiser(name, mover.optimiser, tensors)
    run.average.shadow = {name: tensors[f"average.{name}"].clone() for name in run.average.shadow}
    run.best = {k.removeprefix("best."): v.clone() for k, v in tensors.items() if k.startswith("best.")}
    run.step, run.batches.drawn = int(numbers["step"]), int(numbers["drawn"])
    run.spent, run.stale = float(numbers["spent"]), int(numbers["stale"])
    here = {"batch_size": run.plan.batch_size, "world": run.plan.world, "parallel": run.plan.parallel}
    run.plan = Plan(**{**numbers["plan"], **here})
    run.history.best, run.history.best_step = float(numbers["best"]), int(numbers["best_step"])
    run.history.stopped = str(numbers["stopped"])
    run.history.forget_after(run.step)


def _held(run: "Run") -> dict[str, Tensor]:
    """How each tensor of a snapshot is held in this process, by its name there."""
    held = moving(run)
    held |= {f"best.{k.removeprefix('model.')}": v for k, v in held.items() if k.startswith("model.")}
    for name, mover in run.movers.items():
        for index, parameter in enumerate(mover.parameters):
            held |= {f"optimiser.{name}.{index}.{entry}": parameter for entry in ("exp_avg", "exp_avg_sq")}
    return held
