"""Before the first step: data -> event -> model -> units measured on the training rows.

    rows of the data set  =  training rows  +  held-out rows (where something is monitored on them)

The order of the split and the new weights are functions of the fit's seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.objective import Objective
from fairway.core.preprocessing import Identity, Preprocessing
from fairway.core.random import generator_for, mix, seeded
from fairway.data.dataset import Dataset
from fairway.data.dataset import load as load_data
from fairway.training.batches import Table
from fairway.training.options import Learner, Options, build_learner, build_model, refuse_ambiguous
from fairway.training.transfer import Taken, begin_from

BUILD, SPLIT = 21, 22  # streams of the fit's seed


@dataclass
class Task:
    """What is learned by whom from what: all of the rows, those to learn from, those held out; what it began from."""

    model: Model
    learner: Learner
    data: Dataset
    table: Table
    train: Table
    held_out: Table | None
    init: Taken | None = None


def prepare(model: str | Model, x: Any, asked: Options, options: dict[str, Any]) -> Task:
    """Everything that a run needs.

    Args:
        model, x: as in `fit`. asked: the fit's own options. options: those of the model and its objective.

    Raises:
        ValueError: data, names or options that do not fit; says what was expected and what came.
    """
    data, context = _read(model, x, asked.context)
    built, learner = _build(model, data, context, asked, options)
    _place(built, learner, data, asked)
    _set_units(built, asked.preprocess)
    resumed = asked.folder if asked.resume else None
    taken = None if asked.init is None else begin_from(built, learner, asked.init, resumed)
    table = _table(built, data, context, asked.weights)
    train, held_out = _split(table, built, learner, asked)
    _fit_units(built, asked.preprocess, train, () if taken is None else taken.units)
    return Task(built, learner, data, table, train, held_out, taken)


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
    """Take the user's units, or none."""
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
    """The contexts, checked against what the model was built for."""
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


def _fit_units(model: Model, preprocess: bool | Preprocessing, train: Table, taken: Sequence[str]) -> None:
    """Measure the units on the training rows alone, but for those taken over from another run."""
    if preprocess is not False and "preprocess" not in taken:
        model.preprocess.fit(train.x)
    if model.context_preprocess is not None and train.context is not None and "context_preprocess" not in taken:
        model.context_preprocess.fit(train.context)
