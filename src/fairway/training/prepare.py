"""Before the first step: data -> event -> model -> units measured on the training rows.

The split and the new weights are functions of the fit's seed. Rows that lie in a mapped file stay there.
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
from fairway.core.random import mix, seeded
from fairway.data.dataset import Dataset
from fairway.data.dataset import load as load_data
from fairway.data.memory_map import LARGE
from fairway.data.streaming import Stream
from fairway.training.options import Learner, Options, build_learner, build_model, refuse_ambiguous
from fairway.training.paired import refuse_unpaired, split_unpaired
from fairway.training.split import Split, split
from fairway.training.streams import split_stream
from fairway.training.table import Table
from fairway.training.transfer import Taken, begin_from

BUILD = 21  # stream of the fit's seed


@dataclass
class Task:
    """What is learned by whom from what: all of the rows, those to learn from, those held out; what it began from."""

    model: Model
    learner: Learner
    data: Dataset | Stream
    table: Any  # a Table, or a StreamTable
    train: Any
    held_out: Table | None
    init: Taken | None = None


def prepare(model: str | Model, x: Any, asked: Options, options: dict[str, Any]) -> Task:
    """Everything that a run needs.

    Args:
        model, x: as in `fit`. asked: the fit's own options. options: those of the model and its objective.

    Raises:
        ValueError: data, names or options that do not fit; says what was expected and what came.
    """
    data, context = _read(model, x, asked)
    built, learner = _build(model, data.event, _context_event(data, context, asked), asked, options)
    if not asked.paired:
        refuse_unpaired(learner, asked.context, asked.weights, isinstance(data, Stream))
    _place(built, learner, data, asked)
    _set_units(built, asked.preprocess)
    resumed = asked.folder if asked.resume else None
    taken = None if asked.init is None else begin_from(built, learner, asked.init, resumed)
    parts = _split(_table(built, data, context, asked), built, learner, asked)
    _fit_units(built, asked.preprocess, parts, () if taken is None else taken.units)
    return Task(built, learner, data, parts.table, parts.train, parts.held_out, taken)


def _read(model: str | Model, x: Any, asked: Options) -> tuple[Dataset | Stream, Tensor | None]:
    """The data (under the event of a model that is built already) and the context, one per row."""
    event, context = None if isinstance(model, str) else model.event, asked.context
    if isinstance(x, Stream):
        return _stream(x, asked), None
    data = x if isinstance(x, Dataset) else load_data(x, event=event)
    if isinstance(context, str):
        if context != "labels" or data.labels is None:
            raise ValueError(f"expected context as an array, or 'labels' for data that have them; got {context!r}")
        context = data.labels
    tensor = None if context is None else as_tensor(context, "context")
    if tensor is not None and asked.paired and len(tensor) != len(data.x):
        raise ValueError(
            f"expected as many contexts as rows ({len(data.x)}), got {len(tensor)}; two samples need paired=False"
        )
    return data, tensor


def _stream(stream: Stream, asked: Options) -> Stream:
    """A stream, whose rows come with their own labels and nothing else."""
    labels = isinstance(asked.context, str) and asked.context == "labels" and stream.label_event is not None
    if asked.weights is not None or not (asked.context is None or labels):
        raise ValueError(
            "expected no weights with a stream, and context='labels' or none: what belongs to a row lies with it "
            "(subfolders of images; data.stream(folder, labels=COLUMN) for tables)"
        )
    return stream


def _context_event(data: Dataset | Stream, context: Tensor | None, asked: Options) -> Event | None:
    if isinstance(data, Stream) or isinstance(asked.context, str):  # "labels", whose names may say more than they do
        return None if asked.context is None else data.label_event
    return None if context is None else Event.infer_context(context)


def _build(
    model: str | Model, event: Event, context_event: Event | None, asked: Options, options: dict[str, Any]
) -> tuple[Model, Learner]:
    """The model and its learner, with each option where it belongs; new weights come from the seed."""
    with seeded(mix(asked.seed, BUILD)):
        left = options
        if isinstance(model, str):
            model, left = build_model(model, event, context_event, options)
            learner = build_learner(model, asked.objective, left)
            refuse_ambiguous(model, learner, options)
        else:
            learner = build_learner(model, asked.objective, left)
        if isinstance(learner, Objective):
            learner.check(model)
    return model, learner


def _place(model: Model, learner: Learner, data: Dataset | Stream, asked: Options) -> None:
    """Choose precision and device: solvers keep a float64 input's precision, networks are float32."""
    dtype = getattr(torch, asked.dtype, None) if isinstance(asked.dtype, str) else asked.dtype
    if asked.dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise ValueError(f"expected dtype as float32 or float64, got {asked.dtype!r}")
    if dtype is None:
        keep = not isinstance(learner, Objective) and isinstance(data, Dataset) and data.x.dtype == torch.float64
        dtype = torch.float64 if keep else torch.get_default_dtype()
    place = _device(asked.device)
    model.to(device=place, dtype=dtype)
    learner.to(device=place, dtype=dtype)


def _device(asked: str) -> torch.device:
    """Where to train: "auto" takes the accelerator that this process was given, where there is one.

    Raises:
        ValueError: no such device here.
    """
    if asked == "auto":
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        here = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise ValueError(f"expected device among auto, {here}, got {asked!r} ({str(error)[:80]})") from None
    return device


def _set_units(model: Model, preprocess: bool | Preprocessing) -> None:
    """Take the user's units, or none."""
    if isinstance(preprocess, Preprocessing):
        model.use_preprocessing(preprocess)
    elif not preprocess:
        model.use_preprocessing(Identity(model.event))


def _table(model: Model, data: Dataset | Stream, context: Tensor | None, asked: Options) -> Table | Stream:
    """The rows, checked against what the model was built for."""
    if isinstance(data, Stream):
        _check_stream(model, data, asked)
        return data
    x = model.event.check_data(data.x)
    stays = data.mapped or x.nbytes > LARGE
    place = x.device if stays else model.device
    weight = None if asked.weights is None else as_tensor(asked.weights, "weights").to(place, model.dtype)
    if weight is not None and not (weight.shape == (len(x),) and _usable_weights(weight)):
        raise ValueError(f"expected weights as ({len(x)},) finite numbers >= 0, some above 0, got {_glimpse(weight)}")
    context = _context_of(model, context)
    context = None if context is None else context.to(place)
    return Table(x.to(place), context, weight, device=model.device if stays else None)


def _check_stream(model: Model, data: Stream, asked: Options) -> None:
    """Whether a stream's rows are what the model was built for; values are checked as they are read."""
    if data.event != model.event:
        raise ValueError(f"expected rows as {model.event}, got a stream of {data.event}: data.stream(..., event=...)")
    if model.context_event is None and asked.context is not None:
        raise ValueError(f"{model.name()} was built without context_event; got a context")
    if model.context_event is not None and model.context_event != _context_event(data, None, asked):
        raise ValueError(f"{model.name()} is conditional on {model.context_event}: pass context='labels'")


def _context_of(model: Model, context: Tensor | None) -> Tensor | None:
    """The contexts, checked against what the model was built for."""
    if model.context_event is None and context is not None:
        raise ValueError(f"{model.name()} was built without context_event; got a context")
    if model.context_event is None:
        return None
    if context is None:
        raise ValueError(f"{model.name()} is conditional on {model.context_event}: pass context=...")
    context = model.context_event.check(context, "context")
    if context.is_floating_point() and not bool(context.isfinite().all()):
        raise ValueError(f"expected finite context, got {_glimpse(context[~context.isfinite()])}")
    return context


def _usable_weights(weight: Tensor) -> bool:
    return bool(weight.isfinite().all() and (weight >= 0).all() and weight.sum() > 0)


def _glimpse(x: Tensor) -> str:
    return f"{tuple(x.shape)} with values in {float(x.min()):g}..{float(x.max()):g}"


def _split(table: Table | Stream, model: Model, learner: Learner, asked: Options) -> Split:
    """Hold out rows where something is monitored on them."""
    monitored = getattr(model, "monitor", None) or learner.monitor
    if not asked.paired and isinstance(table, Table):
        return split_unpaired(table, 0.0 if monitored is None else asked.validation, asked.seed, model.device)
    held = 0 if monitored is None else round(asked.validation * len(table))
    if isinstance(table, Stream):
        return split_stream(table, held, asked.seed, asked.context is not None, model.device)
    return split(table, held, asked.seed)


def _fit_units(model: Model, preprocess: bool | Preprocessing, parts: Split, taken: Sequence[str]) -> None:
    """Measure the units on the training rows alone, but for those taken over from another run."""
    if preprocess is not False and "preprocess" not in taken:
        model.preprocess.fit_chunks(parts.measured("x", model.device))
    if model.context_preprocess is not None and "context_preprocess" not in taken:
        model.context_preprocess.fit_chunks(parts.measured("context", model.device))
