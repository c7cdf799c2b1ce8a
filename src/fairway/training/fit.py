"""`fairway.fit`: from an array, a name or a path to a trained model, in one call.

Data -> Event -> model -> held-out split -> preprocessing fitted on the training rows -> stages, each a run of a solver
or of gradient descent -> the best weights, in eval mode. With `out`, everything needed to read, resume or repeat the
run is in the folder.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.config import to_json
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.objective import Objective, Stage
from fairway.core.preprocessing import Identity, Preprocessing
from fairway.core.random import generator_for, mix, seeded
from fairway.data.dataset import Dataset
from fairway.data.dataset import load as load_data
from fairway.training import checkpoint, run_folder
from fairway.training.batches import Table
from fairway.training.callbacks import Callback, ProgressBar
from fairway.training.card import card
from fairway.training.files import write_bytes, write_json
from fairway.training.history import History
from fairway.training.loop import Run
from fairway.training.options import Learner, build_learner, build_model, refuse_ambiguous
from fairway.training.plan import Plan, integer, seconds_of
from fairway.training.resume import begin, go_on, identity
from fairway.training.solve import Solve

BUILD, SPLIT = 21, 22  # streams of the fit's seed
START_ROWS = 4096  # rows an objective may look at before the first step


@dataclass
class Options:
    """What `fit` and `loop` themselves take; every other option goes to the model or its objective."""

    context: Any = None
    weights: Any = None
    objective: Any = None
    preprocess: bool | Preprocessing = True
    validation: float = 0.1
    steps: int | None = None
    budget: float | str | None = None
    batch_size: int | None = None
    lr: float | None = None
    seed: int = 0
    device: str = "auto"
    dtype: torch.dtype | str | None = None
    out: str | Path | None = None
    resume: bool = False
    callbacks: Sequence[Callback] = ()
    progress: bool = False
    evaluate_every: int = 0  # in steps; 0 for the plan's own choice, which a budget measures
    threads: int | None = None  # None: as many as torch has, or what a budget measures to be best

    def __post_init__(self) -> None:
        if self.resume and self.out is None:
            raise ValueError("expected out=FOLDER with resume=True, got none")
        if not 0 <= self.validation < 1:
            raise ValueError(f"expected validation as a share in [0, 1), got {self.validation}")
        for name in ("steps", "batch_size"):
            if getattr(self, name) is not None:
                setattr(self, name, integer(name, getattr(self, name), least=1))
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise ValueError(f"expected lr as a positive number, got {self.lr}")
        self.seed = integer("seed", self.seed)
        self.seconds = seconds_of(self.budget)

    @classmethod
    def take(cls, options: dict[str, Any]) -> tuple["Options", dict[str, Any]]:
        """The fit's own options, and those left over."""
        own = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in options.items() if k in own}), {k: v for k, v in options.items() if k not in own}

    @property
    def folder(self) -> Path | None:
        """The run folder."""
        return None if self.out is None else Path(self.out)


def fit(
    model: str | Model,
    x: Any,
    *,
    context: Any = None,
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
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
    **options: Any,
) -> Model:
    """Train a model on x and return it in eval mode, with `history`.

    Args:
        model: a registered name ("real_nvp"), or an instance: it goes on from its weights, in units measured anew.
        x: array-like (n, d), (n, h, w) or (n, c, h, w); a `Dataset`; a data set's name; a path.
        context: array-like (n, *C): class labels or numbers the model is conditioned on.
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
        callbacks: see `fairway.training.callbacks`. progress: show a bar.
        options: go to the model's constructor, else to its objective's; "objective.NAME" says which.

    Raises:
        ValueError: data, names or options that do not fit; says what was expected and what came.
        Diverged: the loss or a gradient left the finite numbers; the model is back at its last good state.
    """
    own = dict(context=context, weights=weights, objective=objective, preprocess=preprocess, validation=validation)
    own |= dict(steps=steps, budget=budget, batch_size=batch_size, lr=lr, seed=seed, device=device, dtype=dtype)
    own |= dict(out=out, resume=resume, callbacks=callbacks, progress=progress)
    runs = loop(model, x, **own, **options)
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
    data, context = _read(model, x, asked.context)
    built, learner = _build(model, data, context, asked, options)
    _place(built, learner, data, asked)
    _set_units(built, asked.preprocess)
    table = _table(built, data, context, asked.weights)
    train, held_out = _split(table, built, learner, asked)
    _fit_units(built, asked.preprocess, train)
    start = None if asked.folder is None else _open_folder(asked.folder, built, learner, data, table, asked)
    yield from _learn(built, learner, train, held_out, asked, start)
    if asked.folder is not None:
        _close_folder(asked.folder, built, learner, data, asked)
    return built


# -- data and model ---------------------------------------------------------------------------------------------
def _read(model: str | Model, x: Any, context: Any) -> tuple[Dataset, Tensor | None]:
    """The data (under the event of a model that is built already) and the context, one per row."""
    event = None if isinstance(model, str) else model.event
    data = x if isinstance(x, Dataset) else load_data(x, event=event)
    if isinstance(context, str):
        if context != "labels" or data.labels is None:
            raise ValueError(f"expected context as an array, or 'labels' for data that have them; got {context!r}")
        context = data.labels
    tensor = None if context is None else as_tensor(context, "context")
    if tensor is not None and len(tensor) != len(data.x):
        raise ValueError(f"expected as many contexts as rows ({len(data.x)}), got {len(tensor)}")
    return data, tensor


def _build(
    model: str | Model, data: Dataset, context: Tensor | None, asked: Options, options: dict[str, Any]
) -> tuple[Model, Learner]:
    """The model and its learner, with each option where it belongs; new weights come from the seed."""
    with seeded(mix(asked.seed, BUILD)):
        left = options
        if isinstance(model, str):
            context_event = None if context is None else Event.infer_context(context)
            model, left = build_model(model, data.event, context_event, options)
            learner = build_learner(model, asked.objective, left)
            refuse_ambiguous(model, learner, options)
        else:
            learner = build_learner(model, asked.objective, left)
        if isinstance(learner, Objective):
            learner.check(model)
    return model, learner


def _place(model: Model, learner: Learner, data: Dataset, asked: Options) -> None:
    """Choose precision and device: solvers keep a float64 input's precision, networks are float32."""
    dtype = getattr(torch, asked.dtype, None) if isinstance(asked.dtype, str) else asked.dtype
    if asked.dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(f"expected dtype as float32 or float64, got {asked.dtype!r}")
    if dtype is None:
        keep = not isinstance(learner, Objective) and data.x.dtype == torch.float64
        dtype = torch.float64 if keep else torch.get_default_dtype()
    place = ("cuda" if torch.cuda.is_available() else "cpu") if asked.device == "auto" else asked.device
    model.to(device=place, dtype=dtype)
    learner.to(device=place, dtype=dtype)


def _set_units(model: Model, preprocess: bool | Preprocessing) -> None:
    if isinstance(preprocess, Preprocessing):
        model.use_preprocessing(preprocess)
    elif not preprocess:
        model.use_preprocessing(Identity(model.event))


def _table(model: Model, data: Dataset, context: Tensor | None, weights: Any) -> Table:
    """The rows, checked against what the model was built for."""
    x = model.event.check_data(data.x).to(model.device)
    weight = None if weights is None else as_tensor(weights, "weights").to(model.device, model.dtype)
    if weight is not None and not (weight.shape == (len(x),) and _usable_weights(weight)):
        raise ValueError(f"expected weights as ({len(x)},) finite numbers >= 0, some above 0, got {_glimpse(weight)}")
    return Table(x, _context_of(model, context), weight)


def _context_of(model: Model, context: Tensor | None) -> Tensor | None:
    if model.context_event is None and context is not None:
        raise ValueError(f"{model.name()} was built without context_event; got a context")
    if model.context_event is None:
        return None
    if context is None:
        raise ValueError(f"{model.name()} is conditional on {model.context_event}: pass context=...")
    context = model.context_event.check(context, "context").to(model.device)
    if context.is_floating_point() and not bool(context.isfinite().all()):
        raise ValueError(f"expected finite context, got {_glimpse(context[~context.isfinite()])}")
    return context


def _usable_weights(weight: Tensor) -> bool:
    return bool(weight.isfinite().all() and (weight >= 0).all() and weight.sum() > 0)


def _glimpse(x: Tensor) -> str:
    return f"{tuple(x.shape)} with values in {float(x.min()):g}..{float(x.max()):g}"


def _split(table: Table, model: Model, learner: Learner, asked: Options) -> tuple[Table, Table | None]:
    """Hold out rows where something is monitored on them."""
    held = round(asked.validation * len(table))
    monitored = getattr(model, "monitor", None) or learner.monitor
    if not held or monitored is None or len(table) - held < 1:
        return table, None
    order = torch.randperm(len(table), generator=generator_for(asked.seed, SPLIT)).to(table.x.device)
    return table.rows(order[held:]), table.rows(order[:held])


def _fit_units(model: Model, preprocess: bool | Preprocessing, train: Table) -> None:
    """Measure the units on the training rows alone."""
    if preprocess is not False:
        model.preprocess.fit(train.x)
    if model.context_preprocess is not None and train.context is not None:
        model.context_preprocess.fit(train.context)


# -- learning ---------------------------------------------------------------------------------------------------
def _learn(
    model: Model,
    learner: Learner,
    train: Table,
    held_out: Table | None,
    asked: Options,
    start: checkpoint.Snapshot | None,
) -> Generator[Run | Solve, None, None]:
    """Run the stages in order, from a checkpoint's stage on; `model.history` is the last one's."""
    stages, seconds = model.stages(learner), 0.0
    first = 0 if start is None else int(start[1]["plan"]["stage"])
    for index, stage in list(enumerate(stages))[first:]:
        bars = [ProgressBar(f"{model.name()} {stage.name}")] if asked.progress else []
        with seeded(mix(asked.seed, BUILD, index)):
            run = _run(model, stage, train, held_out, asked, index, [*asked.callbacks, *bars])
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


def _run(
    model: Model,
    stage: Stage,
    train: Table,
    held_out: Table | None,
    asked: Options,
    index: int,
    callbacks: list[Callback],
) -> Run | Solve:
    """The run of one stage, ready to go."""
    steps, out = stage.steps or asked.steps, asked.folder
    if not isinstance(stage.learner, Objective):
        limit = steps or stage.learner.arguments.get("iterations")
        plan = Plan(limit, asked.seconds, len(train), asked.seed, stage=index)
        return Solve(model, stage.learner, train, plan, callbacks, out)
    objective = stage.learner
    objective.setup(model)
    objective.to(device=model.device, dtype=model.dtype)
    size, budget = asked.batch_size or objective.batch_size, asked.seconds if steps is None else None
    plan = Plan(steps, budget, size, asked.seed, asked.evaluate_every, lr=asked.lr, stage=index, threads=asked.threads)
    run = Run(model, objective, train, held_out, plan, callbacks, out)
    objective.start(model, run.batches.all(START_ROWS).u)
    return run


# -- the run folder ---------------------------------------------------------------------------------------------
def _open_folder(
    folder: Path, model: Model, learner: Learner, data: Dataset, table: Table, asked: Options
) -> checkpoint.Snapshot | None:
    """Write down what is started; a resumed run's checkpoint, where there is one."""
    run_folder.describe(model)  # a model that no file can name is refused now, not after the training
    split = {"seed": asked.seed, "validation": asked.validation}
    return begin(folder, identity(model, learner, data.digest, table, split), asked.resume)


def _close_folder(folder: Path, model: Model, learner: Learner, data: Dataset, asked: Options) -> None:
    """Write the trained model with its data's identity, its configuration and its card."""
    history: History = model.history
    source = {**data.describe(), "split_seed": asked.seed, "validation": asked.validation}
    record = {
        "objective": to_json(learner),
        "fit": {
            "seed": asked.seed,
            "steps": history.planned or history.steps,
            "budget": asked.seconds,
            "batch_size": asked.batch_size,
            "lr": asked.lr,
            "validation": asked.validation,
            "evaluate_every": history.evaluate_every,
            "threads": history.threads or torch.get_num_threads(),
        },
        "history": history.summary(),
    }
    write_json(folder / "data.json", source)
    run_folder.save(model, folder, record)
    write_bytes(folder / "card.md", card(model, source, record).encode())
