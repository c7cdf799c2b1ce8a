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


def build_model(name: str, event: Any, context_event: Any, options: dict[str, Any]) -> tuple[Model, dict[str, Any]]:
    """A model by name with the options its constructor takes; returns the options left over."""
    cls = lookup("model", name)
    known = signature(cls)
    own = {key: value for key, value in options.items() if key in known}
    model: Model = cls(event, context_event, **own)
    return model, {key: value for key, value in options.items() if key not in own}


def build_learner(model: Model, objective: Any, options: dict[str, Any]) -> Learner:
    """The objective or solver, with the options left for it.

    Raises:
        ValueError: an option that both or neither take.
    """
    if isinstance(objective, str):
        objective = lookup("objective", objective)()
    learner: Learner = objective if objective is not None else model.default_objective()
    if not options:
        return learner
    known, model_known = list(signature(type(learner))), list(signature(type(model)))
    chosen = {}
    for key, value in options.items():
        plain = key.removeprefix(PREFIX)
        if plain not in known:
            names = [*model_known, *known]
            raise ValueError(
                f"neither {model.name()} nor its {learner.name()} has an option {key!r}{did_you_mean(plain, names)}"
            )
        chosen[plain] = value
    return type(learner)(**{**learner.arguments, **chosen})


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
