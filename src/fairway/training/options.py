"""Where an option of `fit` goes: to the model's constructor, else to its objective's or solver's.

In both: an error asks for "objective.beta". In neither: an error with near names.
"""

from typing import Any

from fairway.core.config import lookup, signature
from fairway.core.model import Model
from fairway.core.objective import Objective, Solver
from fairway.core.registry import did_you_mean

Learner = Objective | Solver
PREFIX = "objective."
FROM_THE_DATA = ("event", "context_event")


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
