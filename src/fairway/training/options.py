"""The options of `fit`: its own, the model's constructor's, and the objective's or solver's.

What `fit` does not take itself goes to the constructor, else to the objective. In both: an error asks for
"objective.beta". In neither: an error with near names.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from fairway.core.config import lookup, signature
from fairway.core.model import Model
from fairway.core.objective import Objective, Solver
from fairway.core.preprocessing import Preprocessing
from fairway.core.registry import did_you_mean
from fairway.training.callbacks import Callback
from fairway.training.distributed import KINDS
from fairway.training.plan import integer, seconds_of

Learner = Objective | Solver
PREFIX = "objective."
FROM_THE_DATA = ("event", "context_event")
CHOICES = {"parallel": KINDS, "compile": ("auto", "on", "off"), "precision": ("auto", "float32", "bfloat16")}


@dataclass
class Options:
    """What `fit` and `loop` themselves take, checked.

    Raises:
        ValueError: a value that cannot be.
    """

    context: Any = None
    paired: bool = True
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
    init: str | Path | Model | None = None
    callbacks: Sequence[Callback] = ()
    progress: bool = False
    evaluate_every: int = 0  # in steps; 0 for the plan's own choice, which a budget measures
    threads: int | None = None  # None: as many as torch has, or what a budget measures to be best
    log_every: int = 50  # in steps, as is
    checkpoint_every: int = 50
    parallel: str = "ddp"  # how several processes share a run; "fsdp" shares the parameters, too
    compile: str = "auto"  # where it pays, always or never
    precision: str = "auto"  # of what training multiplies: "float32", "bfloat16"

    def __post_init__(self) -> None:
        if self.resume and self.out is None:
            raise ValueError("expected out=FOLDER with resume=True, got none")
        if not 0 <= self.validation < 1:
            raise ValueError(f"expected validation as a share in [0, 1), got {self.validation}")
        if not isinstance(self.paired, bool):
            raise ValueError(f"expected paired as True or False, got {self.paired!r}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"expected {name} as {' or '.join(choices)}, got {getattr(self, name)!r}")
        for name in ("steps", "batch_size", "threads", "log_every", "checkpoint_every"):
            if getattr(self, name) is not None:
                setattr(self, name, integer(name, getattr(self, name), least=1))
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise ValueError(f"expected lr as a positive number, got {self.lr}")
        self.seed = integer("seed", self.seed)
        self.evaluate_every = integer("evaluate_every", self.evaluate_every, least=0)
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


def build_model(name: str, event: Any, context_event: Any, options: dict[str, Any]) -> tuple[Model, dict[str, Any]]:
    """A model by name with the options its constructor takes; returns the options left over.

    Raises:
        ValueError: an unknown name, or an event among the options.
    """
    cls = lookup("model", name)
    known = signature(cls)
    given = [key for key in FROM_THE_DATA if key in options]
    if given:
        raise ValueError(f"{given[0]} comes with the data: pass fairway.data.load(x, event=...), or a built model")
    own = {key: value for key, value in options.items() if key in known}
    model: Model = cls(event, context_event, **own)
    return model, {key: value for key, value in options.items() if key not in own}


def build_learner(model: Model, objective: Any, options: dict[str, Any]) -> Learner:
    """The objective or solver, with the options left for it.

    Raises:
        ValueError: an option that the learner lacks, or no learner at all.
    """
    if isinstance(objective, str):
        objective = lookup("objective", objective)()
    learner = objective if objective is not None else model.default_objective()
    if not isinstance(learner, Objective | Solver):
        raise ValueError(f"expected objective as a name, an objective or a solver, got {type(learner).__name__}")
    if not options:
        return learner
    chosen = {_learner_option(key, model, learner): value for key, value in options.items()}
    return type(learner)(**{**learner.arguments, **chosen})


def _learner_option(key: str, model: Model, learner: Learner) -> str:
    """The learner's own name of an option."""
    plain, of_model, of_learner = key.removeprefix(PREFIX), signature(type(model)), signature(type(learner))
    if plain in of_learner:
        return plain
    if key in of_model:
        raise ValueError(f"{model.name()} is built already: give {key!r} to its constructor")
    near = did_you_mean(plain, [*of_model, *of_learner])
    raise ValueError(f"neither {model.name()} nor its {learner.name()} has an option {key!r}{near}")


def refuse_ambiguous(model: Model, learner: Learner, options: dict[str, Any]) -> None:
    """An option that both constructors take must say which it means.

    Raises:
        ValueError: names the option.
    """
    both = set(signature(type(model))) & set(signature(type(learner))) & set(options)
    if both:
        key = sorted(both)[0]
        raise ValueError(
            f"both {model.name()} and its {learner.name()} take {key!r}: say {PREFIX}{key} for the objective's"
        )
