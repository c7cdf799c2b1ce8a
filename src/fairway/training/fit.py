"""`fairway.fit`: from an array, a name or a path to a trained model, in one call.

Data -> Event -> model -> held-out split -> preprocessing fitted on the training rows -> stages, each a run of a solver
or of gradient descent -> the best weights, in eval mode. With `out`, everything needed to read, resume or repeat the
run is in the folder.
"""

from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fairway.core import parallel as processes
from fairway.core.config import to_json
from fairway.core.model import Model
from fairway.core.objective import Objective, Stage
from fairway.core.preprocessing import Preprocessing
from fairway.core.random import mix, seeded
from fairway.training import checkpoint, distributed, run_folder, transfer
from fairway.training.callbacks import Callback, ProgressBar
from fairway.training.card import card
from fairway.training.files import write_bytes, write_json
from fairway.training.history import History
from fairway.training.interrupt import exhausting
from fairway.training.lock import locked
from fairway.training.loop import Run
from fairway.training.options import Options
from fairway.training.plan import Plan
from fairway.training.prepare import BUILD, Task, prepare
from fairway.training.resume import begin, go_on, identity, last_of
from fairway.training.solve import Solve

START_ROWS = 4096  # rows an objective may look at before the first step


def fit(
    model: str | Model,
    x: Any,
    *,
    context: Any = None,
    paired: bool = True,
    weights: Any = None,
    objective: Any = None,
    preprocess: bool | Preprocessing = True,
    validation: float = 0.1,
    steps: int | None = None,
    budget: float | str | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: torch.dtype | str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    init: str | Path | Model | None = None,
    compile: str = "auto",
    precision: str = "auto",
    parallel: str = "ddp",
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    **options: Any,
) -> Model:
    """Train a model on x and return it in eval mode, with `history`.

    Args:
        model: a registered name ("real_nvp"), or an instance: it goes on from its weights, in units measured anew.
        x: array-like (n, d), (n, h, w) or (n, c, h, w); a `Dataset`; a data set's name; a path.
        context: array-like (n, *C): class labels or numbers the model is conditioned on.
        paired: whether row i and context i belong together. False for two samples, of any lengths, where the objective
            learns from such (`cycle_gan`).
        weights: (n,) row weights.
        objective: how to learn (an instance or a registered name); None for the model's own.
        preprocess: True for the model's own units, False for data already in model units, or a `Preprocessing`.
        validation: share of rows held out for early stopping (0 for none).
        steps: number of steps. budget: seconds instead ("30s", "5m"): a short measurement buys steps (a solver
            stops at whichever comes first).
        batch_size, lr: override the objective's.
        seed: of everything drawn. Same seed, same machine, same result.
        device: "auto", "cpu", "cuda". dtype: None for the input's with solvers and float32 with networks.
        out: run folder. resume: go on from its last checkpoint, on the same data with the same options.
        init: a run folder or a model with the same event, to begin from: parameters whose name and shape match are
            taken over, and so are the units, where both models measure them in the same way; see `transfer`.
        compile: "auto" compiles the loss where the fit will outlast it; "on", "off".
        precision: "auto", "float32" or "bfloat16" of the products in training; see `training.precision`.
        parallel: how the processes of `torchrun` share a run: "ddp", or "fsdp", which splits the parameters, too.
        callbacks: see `fairway.training.callbacks`. progress: show a bar.
        options: go to the model's constructor, else to its objective's; "objective.NAME" says which.

    Raises:
        ValueError: data, names or options that do not fit; says what was expected and what came.
        Diverged: the loss or a gradient left the finite numbers; the model is back at its last good state.
        Interrupted: Ctrl-C or SIGTERM; the step was finished, and with `out` there is a checkpoint of it.
    """
    own = dict(context=context, paired=paired, weights=weights, objective=objective, preprocess=preprocess)
    own |= dict(validation=validation, steps=steps, budget=budget, batch_size=batch_size, lr=lr, seed=seed)
    own |= dict(device=device, dtype=dtype, out=out, resume=resume, init=init, callbacks=callbacks, progress=progress)
    own |= dict(compile=compile, precision=precision, parallel=parallel)
    runs = loop(model, x, **own, **options)
    with exhausting():
        while True:
            try:
                next(runs)
            except StopIteration as end:
                trained: Model = end.value
                return trained


def loop(model: str | Model, x: Any, **options: Any) -> Generator[Run | Solve, None, Model]:
    """`fit`, as a loop of your own: yields the run after every step, returns the trained model; options as in `fit`.

    >>> for run in loop("real_nvp", "moons", steps=3, hidden=(8,), transforms=2):
    ...     print(run.step, run.model.name())
    1 real_nvp
    2 real_nvp
    3 real_nvp
    """
    asked, options = Options.take(options)
    distributed.join()
    task = prepare(model, x, asked, options)
    mine = asked.folder is not None and processes.rank() == 0
    with locked(asked.folder) if mine and asked.folder else nullcontext():
        start = None if asked.folder is None else _open_folder(asked.folder, task, asked)
        with distributed.told_apart():
            yield from _learn(task, asked, start)
        if mine and asked.folder:
            _close_folder(asked.folder, task, asked)
    processes.wait()
    return task.model


# -- learning ---------------------------------------------------------------------------------------------------
def _learn(task: Task, asked: Options, start: checkpoint.Snapshot | None) -> Generator[Run | Solve, None, None]:
    """Run the stages in order, from a checkpoint's stage on; `model.history` is the last one's."""
    model = task.model
    stages, seconds = model.stages(task.learner), 0.0
    first = 0 if start is None else int(start[1]["plan"].get("stage", 0))
    for index, stage in list(enumerate(stages))[first:]:
        bars = [ProgressBar(f"{model.name()} {stage.name}")] if asked.progress and processes.rank() == 0 else []
        with seeded(mix(asked.seed, BUILD, index)):
            run = _run(task, stage, asked, index, [*asked.callbacks, *bars])
        object.__setattr__(model, "history", run.history)
        if asked.folder is not None and asked.resume and index == first:
            go_on(run, start, asked.folder)
        try:
            yield from run
        finally:
            for bar in bars:
                bar.on_end(run)
        seconds += run.history.seconds
        run.history.seconds = seconds


def _run(task: Task, stage: Stage, asked: Options, index: int, callbacks: list[Callback]) -> Run | Solve:
    """The run of one stage, ready to go."""
    model, train = task.model, replace(task.train, map=stage.data)
    held_out = None if task.held_out is None else replace(task.held_out, map=stage.data)
    steps, out = stage.steps or asked.steps, asked.folder
    if not isinstance(stage.learner, Objective):
        limit = steps or stage.learner.arguments.get("iterations")
        plan = Plan(limit, asked.seconds, len(train), asked.seed, checkpoint_every=asked.checkpoint_every, stage=index)
        return Solve(model, stage.learner, train, plan, callbacks, out)
    objective = stage.learner
    objective.setup(model)
    objective.to(device=model.device, dtype=model.dtype)
    plan = _plan(objective, model, steps, asked, index)
    part = None if stage.part is model else stage.part
    run = Run(model, objective, train, held_out, plan, callbacks, out, part)
    with run.engine.whole():
        run.objective.start(run.model, run.batches.all(START_ROWS).u)
    return run


def _plan(objective: Objective, model: Model, steps: int | None, asked: Options, index: int) -> Plan:
    """What the options say about a stage of gradient descent."""
    if steps is None and asked.seconds is None:
        steps = objective.steps_of(model)
    return Plan(
        steps,
        asked.seconds if steps is None else None,
        asked.batch_size or objective.batch_size_of(model),
        asked.seed,
        asked.evaluate_every,
        asked.log_every,
        asked.checkpoint_every,
        lr=asked.lr,
        stage=index,
        threads=asked.threads,
        world=processes.size(),
        parallel=asked.parallel,
        compile={"on": True, "off": False}.get(asked.compile),
        precision=asked.precision,
    )


# -- the run folder ---------------------------------------------------------------------------------------------
def _open_folder(folder: Path, task: Task, asked: Options) -> checkpoint.Snapshot | None:
    """Write down what is started; a resumed run's checkpoint, where there is one."""
    run_folder.describe(task.model)  # a model that no file can name is refused now, not after the training
    split = {"seed": asked.seed, "validation": asked.validation, "init": task.init and task.init.identity()}
    split |= {"unpaired": None if asked.paired else True}  # None, as in runs from before there was a choice
    run = identity(task.model, task.learner, task.data.digest, task.table, split)
    start = begin(folder, run, asked.resume) if processes.rank() == 0 else None
    if task.init and processes.rank() == 0:
        transfer.keep(folder, task.init.source)
    processes.wait()
    return last_of(folder, run) if asked.resume and processes.rank() else start  # only the first process may tidy up


def _close_folder(folder: Path, task: Task, asked: Options) -> None:
    """Write the trained model with its data's identity, its configuration and its card."""
    history: History = task.model.history
    source = {**task.data.describe(), "split_seed": asked.seed, "validation": asked.validation}
    record = {
        "objective": to_json(task.learner),
        "fit": {
            "seed": asked.seed,
            "steps": history.planned or history.steps,
            "budget": asked.seconds,
            "batch_size": asked.batch_size,
            "lr": asked.lr,
            "init": task.init and task.init.record(),
            "validation": asked.validation,
            "paired": asked.paired,
            "evaluate_every": history.evaluate_every,
            "threads": history.threads or torch.get_num_threads(),
            "processes": processes.size(),
            "parallel": asked.parallel,
            "compile": "on" if history.compiled else "off",
            "precision": history.precision,
        },
        "history": history.summary(),
    }
    write_json(folder / "data.json", source)
    run_folder.save(task.model, folder, record)
    write_bytes(folder / "card.md", card(task.model, source, record).encode())
