"""`fairway.fit`: from an array, a name or a path to a trained model, in one call.

Data -> Event -> model -> held-out split -> preprocessing fitted on the training rows -> stages, each a run of a solver
or of gradient descent -> the best weights, in eval mode. With `out`, everything needed to read, resume or repeat the
run is in the folder.
"""

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
from fairway.training.files import BrokenFolder, read_json, write_bytes, write_json
from fairway.training.history import History
from fairway.training.loop import Run
from fairway.training.options import Learner, build_learner, build_model, refuse_ambiguous
from fairway.training.plan import Plan, seconds_of
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

    def __post_init__(self) -> None:
        if self.resume and self.out is None:
            raise ValueError("expected out=FOLDER with resume=True, got none")
        if not 0 <= self.validation < 1:
            raise ValueError(f"expected validation as a share in [0, 1), got {self.validation}")

    @classmethod
    def take(cls, options: dict[str, Any]) -> tuple["Options", dict[str, Any]]:
        """The fit's own options, and those left over."""
        own = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in options.items() if k in own}), {k: v for k, v in options.items() if k not in own}

    @property
    def folder(self) -> Path | None:
        """The run folder."""
        return None if self.out is None else Path(self.out)

    @property
    def seconds(self) -> float | None:
        """The budget."""
        return seconds_of(self.budget)


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
        model: a registered name ("real_nvp"), or an instance.
        x: array-like (n, d), (n, h, w) or (n, c, h, w); a `Dataset`; a data set's name; a path.
        context: array-like (n, *C): class labels or numbers the model is conditioned on.
        weights: (n,) row weights.
        objective: how to learn (an instance or a registered name); None for the model's own.
        preprocess: True for the model's own units, False for data already in model units, or a `Preprocessing`.
        validation: share of rows held out for early stopping (0 for none).
        steps: number of steps. budget: seconds instead ("30s", "5m"): a short measurement buys steps.
        batch_size, lr: override the objective's.
        seed: of everything drawn. Same seed, same machine, same result.
        device: "auto", "cpu", "cuda". dtype: None for the input's with solvers and float32 with networks.
        out: run folder. resume: go on from its last checkpoint.
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
    data, context = _read(x, asked.context)
    built, learner = _build(model, data, context, asked, options)
    _place(built, learner, data, asked)
    _set_units(built, asked.preprocess)
    train, held_out = _split(_table(built, data, context, asked.weights), built, learner, asked)
    _fit_units(built, asked.preprocess, train)
    if asked.folder is not None:
        _open_folder(asked.folder, built, data, asked)
    history = yield from _learn(built, learner, train, held_out, asked)
    object.__setattr__(built, "history", history)
    if asked.folder is not None:
        _close_folder(asked.folder, built, learner, asked, history)
    return built


# -- data and model ---------------------------------------------------------------------------------------------
def _read(x: Any, context: Any) -> tuple[Dataset, Tensor | None]:
    data = x if isinstance(x, Dataset) else load_data(x)
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
        learner.to(model.device)
        if isinstance(learner, Objective):
            learner.check(model)
    return model, learner


def _place(model: Model, learner: Learner, data: Dataset, asked: Options) -> None:
    """Choose precision and device: solvers keep a float64 input's precision, networks are float32."""
    dtype: Any = asked.dtype
    if isinstance(dtype, str):
        dtype = getattr(torch, dtype, None)
        if not isinstance(dtype, torch.dtype):
            raise ValueError("expected dtype as float32 or float64")
    if dtype is None:
        solver = not isinstance(learner, Objective)
        dtype = data.x.dtype if solver and data.x.is_floating_point() else torch.get_default_dtype()
    place = ("cuda" if torch.cuda.is_available() else "cpu") if asked.device == "auto" else asked.device
    model.to(device=place, dtype=dtype)
    with seeded(0):
        learner.to(device=place, dtype=dtype)


def _set_units(model: Model, preprocess: bool | Preprocessing) -> None:
    if isinstance(preprocess, Preprocessing):
        model.use_preprocessing(preprocess)
    elif not preprocess:
        model.use_preprocessing(Identity(model.event))


def _table(model: Model, data: Dataset, context: Tensor | None, weights: Any) -> Table:
    x = model.event.check_data(data.x).to(model.device)
    if context is not None and model.context_event is None:
        raise ValueError(f"{model.name()} was built without context_event; got a context")
    if model.context_event is not None:
        if context is None:
            raise ValueError(f"{model.name()} is conditional on {model.context_event}: pass context=...")
        context = model.context_event.check(context, "context").to(model.device)
    weight = None if weights is None else as_tensor(weights, "weights").to(model.device, model.dtype)
    if weight is not None and (weight.shape != (len(x),) or bool((weight < 0).any())):
        raise ValueError(f"expected weights as ({len(x)},) non-negative numbers, got {tuple(weight.shape)}")
    return Table(x, context, weight)


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
    model: Model, learner: Learner, train: Table, held_out: Table | None, asked: Options
) -> Generator[Run | Solve, None, History]:
    """Run the stages in order; returns the history of the last."""
    history, stages = History(), model.stages(learner)
    for index, stage in enumerate(stages):
        bar = [ProgressBar(f"{model.name()} {stage.name}")] if asked.progress else []
        with seeded(mix(asked.seed, BUILD, index)):
            run = _run(model, stage, train, held_out, asked, [*asked.callbacks, *bar])
        if asked.resume and asked.folder is not None and index == len(stages) - 1:
            _resume(run, asked.folder)
        yield from run
        history = run.history
        history.evaluate_every = run.plan.evaluate_every
    return history


def _run(
    model: Model, stage: Stage, train: Table, held_out: Table | None, asked: Options, callbacks: list[Callback]
) -> Run | Solve:
    steps, folder = stage.steps or asked.steps, asked.folder
    if not isinstance(stage.learner, Objective):
        limit = steps or stage.learner.arguments.get("iterations")
        return Solve(model, stage.learner, train, Plan(limit, asked.seconds, 1, asked.seed), callbacks, folder)
    objective = stage.learner
    objective.setup(model)
    objective.to(device=model.device, dtype=model.dtype)
    budget = asked.seconds if steps is None else None
    plan = Plan(steps, budget, asked.batch_size or objective.batch_size, asked.seed, asked.evaluate_every)
    run = Run(model, objective, train, held_out, plan, asked.lr, callbacks, folder)
    objective.start(model, run.batches.all(START_ROWS).u)
    return run


def _resume(run: Run | Solve, folder: Path) -> None:
    snapshot = checkpoint.read(folder / "training")
    if snapshot is not None:
        run.load_state(snapshot)
    print(f"resumed at step {run.step}", flush=True)


# -- the run folder ---------------------------------------------------------------------------------------------
def _open_folder(folder: Path, model: Model, data: Dataset, asked: Options) -> None:
    """Write the data's identity, or hold a resumed run against it."""
    folder.mkdir(parents=True, exist_ok=True)
    entry = {**data.describe(), "split_seed": asked.seed, "validation": asked.validation}
    if asked.resume and (folder / "data.json").exists():
        before = read_json(folder / "data.json")
        if not isinstance(before, dict) or before.get("digest") != entry["digest"]:
            raise BrokenFolder(f"the data changed since {folder} was started: start a new run, or bring the data back")
    write_json(folder / "data.json", entry)


def _close_folder(folder: Path, model: Model, learner: Learner, asked: Options, history: History) -> None:
    record = {
        "objective": to_json(learner),
        "fit": {
            "seed": asked.seed,
            "steps": history.steps,
            "budget": asked.seconds,
            "batch_size": asked.batch_size,
            "lr": asked.lr,
            "validation": asked.validation,
            "evaluate_every": history.evaluate_every,
            "threads": torch.get_num_threads(),
        },
        "history": history.summary(),
    }
    run_folder.save(model, folder, record)
    write_bytes(folder / "card.md", card(model, read_json(folder / "data.json"), record).encode())
