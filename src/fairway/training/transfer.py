"""Fine-tuning: a run begins from the weights of another one with the same event.

What is taken over, by name and shape (of the model and of the networks inside it):

    parameters    each one whose name and shape match; the others are new
    buffers       all of them or none: masks and orders of a network only make sense together
    units         the statistics that data units are measured by, where both models are measured the same way, since
                  weights are for these units; else they are measured anew

Optimisers, averages of the weights, critics and replay buffers start afresh. The run folder keeps a copy of what it
began from (training/init.*), so that a resume needs nothing else.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from fairway.core.config import from_json, to_json
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.objective import Objective, Solver
from fairway.training.checkpoint import load_module
from fairway.training.files import BrokenFolder, digest_of, read_json, read_tensors, write_json, write_tensors
from fairway.training.log import say
from fairway.training.run_folder import read_config

KEPT = Path("training") / "init"  # .json and .safetensors, in the run folder
UNITS = ("preprocess", "context_preprocess")
ABOUT = ("model", "arguments", *UNITS)
SHOWN = 6  # new tensors that are named


@dataclass(frozen=True)
class Source:
    """What a run begins from.

    Args:
        name: where it was found.
        tensors: parameters and buffers by name.
        about: name, arguments and units of its model, as configuration.
    """

    name: str
    tensors: dict[str, Tensor]
    about: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over names and values."""
        seen = hashlib.sha256()
        for name in sorted(self.tensors):
            seen.update(f"{name}={digest_of(self.tensors[name])};".encode())
        return seen.hexdigest()

    @property
    def event(self) -> Event:
        """Its event.

        Raises:
            BrokenFolder: it has none.
        """
        try:
            event = from_json(self.about["arguments"].get("event"))
        except (ValueError, TypeError, AttributeError) as error:
            raise BrokenFolder(f"{self.name} does not describe a model: {str(error)[:200]}") from None
        if not isinstance(event, Event):
            raise BrokenFolder(f"{self.name} does not describe a model: expected its event, got {str(event)[:200]}")
        return event


@dataclass(frozen=True)
class Taken:
    """What a model took over.

    Args:
        source: from where.
        reused: names of the model's tensors. new: name -> shape of the others.
        units: names of the preprocessings (of the data, of the context) whose statistics were taken over.
    """

    source: Source
    reused: tuple[str, ...]
    new: dict[str, tuple[int, ...]]
    units: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """JSON-ready, for the run's configuration."""
        return {
            "from": self.source.name,
            **self.identity(),
            "reused": len(self.reused),
            "new": list(self.new),
            "units": list(self.units),
        }

    def identity(self) -> dict[str, Any]:
        """What a resumed run must share, JSON-ready."""
        return {"model": self.source.about["model"], "digest": self.source.digest}

    def __str__(self) -> str:
        new = [f"{name} {shape}" for name, shape in list(self.new.items())[:SHOWN]]
        new += [f"... {len(self.new) - SHOWN} more"] if len(self.new) > SHOWN else []
        total = len(self.reused) + len(self.new)
        units = "units taken over" if UNITS[0] in self.units else "units measured anew"
        said = f"init: {len(self.reused)} of {total} tensors reused from {self.source.name}"
        return f"{said}; new: {', '.join(new) or 'none'}; {units}"


# -- where from ---------------------------------------------------------------------------------------------------
def source_of(init: Any) -> Source:
    """The source of `fit(init=...)`.

    Args:
        init: a run folder, or a model.

    Raises:
        BrokenFolder: not a run folder.
        ValueError: something else.
    """
    if isinstance(init, Model):
        about = {"model": init.name(), "arguments": {k: to_json(v, k) for k, v in init.arguments.items()}}
        about |= {part: _written(getattr(init, part)) for part in UNITS}
        return Source(f"a model ({init.name()})", {k: v.detach().clone() for k, v in init.state_dict().items()}, about)
    if not isinstance(init, str | Path):
        raise ValueError(f"expected init as a run folder or a model, got {type(init).__name__}")
    config = read_config(init)
    return Source(str(init), read_tensors(Path(init) / "weights.safetensors"), {k: config.get(k) for k in ABOUT})


def _written(part: Any) -> Any:
    return None if part is None else json.loads(json.dumps(to_json(part)))


def keep(folder: Path, source: Source) -> None:
    """Write down what a run begins from, for its resumes."""
    write_tensors(folder / f"{KEPT}.safetensors", source.tensors)
    write_json(folder / f"{KEPT}.json", {"name": source.name, "about": source.about})


def kept(folder: Path) -> Source | None:
    """What a run began from, where it is written down.

    Raises:
        BrokenFolder: damaged.
    """
    if not (folder / f"{KEPT}.json").is_file():
        return None
    entry = read_json(folder / f"{KEPT}.json")
    about = entry.get("about") if isinstance(entry, dict) else None
    if not isinstance(about, dict) or not isinstance(about.get("arguments"), dict):
        raise BrokenFolder(f"{folder / KEPT}.json does not say what the run began from")
    return Source(str(entry.get("name")), read_tensors(folder / f"{KEPT}.safetensors"), about)


# -- taking over --------------------------------------------------------------------------------------------------
def begin_from(model: Model, learner: Objective | Solver, init: Any, resumed: Path | None = None) -> Taken:
    """Take over what matches, and say so.

    Args:
        model: built, on its device, with its own preprocessing.
        learner: an objective; a solver starts from the data instead.
        init: a run folder, or a model.
        resumed: the folder of a run that is resumed: it knows what it began from, `init` need not exist any more.

    Raises:
        ValueError: another event, nothing that matches, or a solver.
        BrokenFolder: not a run folder.
    """
    if isinstance(learner, Solver):
        raise ValueError(f"{model.name()} learns by {learner.name()}, which starts from the data: expected no init")
    before = None if resumed is None else kept(resumed)
    known = before is not None and not isinstance(init, Model) and before.name == str(init)
    taken = take_over(model, before if known and before is not None else source_of(init))
    if not known:
        say(str(taken))
    return taken


def take_over(model: Model, source: Source) -> Taken:
    """Copy every tensor that matches into a model.

    Raises:
        ValueError: another event, or nothing that matches.
    """
    if replace(source.event, missing=model.event.missing) != model.event:
        raise ValueError(f"expected init with the event {model.event}, got {source.name} with {source.event}")
    own = {name: value for name, value in model.state_dict().items() if name.partition(".")[0] not in UNITS}
    parameters = [name for name, _ in model.named_parameters(remove_duplicate=False) if name in own]
    reused = _matching(own, parameters, source)
    if not reused:
        raise ValueError(_nothing_matches(model, source))
    reused += _buffers(own, parameters, source)
    model.load_state_dict({name: source.tensors[name] for name in reused}, strict=False)
    new = {name: tuple(value.shape) for name, value in own.items() if name not in reused}
    return Taken(source, tuple(reused), new, _take_units(model, source))


def _matching(own: dict[str, Tensor], names: Sequence[str], source: Source) -> list[str]:
    """The names whose tensor has the same shape in the source."""
    found = {name: source.tensors[name].shape for name in names if name in source.tensors}
    return [name for name, shape in found.items() if shape == own[name].shape]


def _buffers(own: dict[str, Tensor], parameters: Sequence[str], source: Source) -> list[str]:
    """All buffers, where all match (those that are still to be filled from data count for nothing), or none."""
    names = [name for name in own if name not in parameters and own[name].numel()]
    matching = _matching(own, names, source)
    return matching if len(matching) == len(names) else []


def _take_units(model: Model, source: Source) -> tuple[str, ...]:
    """Take over the statistics of the units that both measure in the same way."""
    taken = []
    for name in UNITS:
        part = getattr(model, name)
        if part is not None and source.about[name] == _written(part):  # of the same class, for the same event
            load_module(name, part, source.tensors)
            taken.append(name)
    return tuple(taken)


def _nothing_matches(model: Model, source: Source) -> str:
    """The error, with what the two models were built with where they are of one kind."""
    theirs = source.about["arguments"]
    if source.about["model"] != model.name():
        return f"nothing to reuse: no parameter of {source.name} ({source.about['model']}) fits this {model.name()}"
    ours = {key: json.loads(json.dumps(to_json(value, key))) for key, value in model.arguments.items()}
    differs = [f"{k}={theirs.get(k)}, here {v}" for k, v in ours.items() if theirs.get(k) != v]
    return f"nothing to reuse: {source.name} was built with {'; '.join(differs) or 'other parts'}"
