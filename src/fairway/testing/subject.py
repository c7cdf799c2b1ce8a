"""A model under test: built small, in float64, in the two states where its mistakes show.

    redrawn   every parameter ~ N(0, 0.3^2): as built, a zero-initialised head makes a wrong log-determinant look right
    trained   after 50 steps of its own objective on data at awkward scales

Both are built once per (class, case) and shared by all checks, which must leave them as they found them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasDenoiser
from fairway.core.model import Case, Model
from fairway.core.random import generator_for, seeded
from fairway.samplers.heun import Heun
from fairway.testing.data import tiny_context, tiny_data, without_gaps

ROWS, STEPS = 192, 50
SPREAD = 0.3
FLOW_LEVELS = 100


@dataclass(frozen=True)
class Subject:
    """A model in one state, with data it could have seen.

    Args:
        state: "redrawn" or "trained".
        model: float64, eval mode.
        case: what it was built from.
        x: (ROWS, *E) data; context: (ROWS, *C) or None.
        memo: what one check measured and another can use.
    """

    state: str
    model: Any
    case: Case
    x: Tensor
    context: Tensor | None
    memo: dict[str, Any] = field(default_factory=dict)

    @property
    def event(self) -> Any:
        """The model's event."""
        return self.model.event

    def rows(self, n: int, gaps: bool = True) -> tuple[Tensor, Tensor | None]:
        """The first n observations and contexts; without gaps, what is missing is filled in."""
        x = self.x if gaps else without_gaps(self.x)
        return x[:n], None if self.context is None else self.context[:n]

    def one_context(self) -> Tensor | None:
        """One context (*C), or None."""
        return None if self.context is None else self.context[0]

    def contexts(self, n: int) -> Tensor | None:
        """The one context, n times over."""
        return None if self.context is None else self.context[:1].expand(n, *self.context.shape[1:])

    def sample(self, n: int, seed: int = 0, **options: Any) -> Tensor:
        """n draws under the one context."""
        draws: Tensor = self.model.sample(n, context=self.one_context(), generator=seed, **options)
        return draws

    def sample_of_density(self, n: int, seed: int = 0) -> Tensor:
        """n draws from what log_prob measures: of a denoiser, whose own sampler may stride far, its flow."""
        sampler = Heun(FLOW_LEVELS, grid="log_snr") if self.model.supports(HasDenoiser) else None
        return self.sample(n, seed, sampler=sampler)


def build(model_class: type[Model], case: Case, seed: int = 17) -> Any:
    """A fresh instance in float64, eval mode, built under a seeded fork of the global generator."""
    with seeded(seed):
        model = model_class(case.event, case.context_event, **case.arguments)
    return model.double().eval()


def tiny_rows(case: Case, n: int = ROWS, seed: int = 0) -> tuple[Tensor, Tensor | None]:
    """Data and contexts for a case."""
    context = tiny_context(case.context_event, n, seed)
    return tiny_data(case.event, n, seed, context), context


def redraw(model: torch.nn.Module, seed: int = 1, spread: float = SPREAD) -> None:
    """Every parameter ~ N(0, spread^2), in place."""
    generator = generator_for(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, spread, generator=generator)


def redrawn(model_class: type[Model], case: Case) -> Subject:
    """The model with fitted units and random parameters."""
    model, (x, context) = build(model_class, case), tiny_rows(case)
    model.preprocess.fit(x)
    if context is not None:
        model.context_preprocess.fit(context)
    redraw(model)
    return Subject("redrawn", model, case, x, context)


def trained(model_class: type[Model], case: Case) -> Subject:
    """The model after 50 steps on its data."""
    from fairway.training.fit import fit

    model, (x, context) = build(model_class, case), tiny_rows(case)
    fitted = fit(model, x, context=context, steps=_steps(model), batch_size=64, seed=0, progress=False)
    return Subject("trained", fitted.double().eval(), case, x, context)


def _steps(model: Any) -> int:
    """Fifty moves of its players: ten steps for a critic that moves five times in each."""
    objective = model.default_objective()
    moves = sum(phase.times / phase.every for phase in objective.phases(model)) if hasattr(objective, "phases") else 1
    return max(STEPS // round(moves), STEPS // 5)


_STATES = {"redrawn": redrawn, "trained": trained}


_CACHE: dict[tuple[Any, ...], Subject] = {}
_CACHED = 16  # subjects kept at once


def subject(state: str, model_class: type[Model], case: Case) -> Subject:
    """The shared subject of a class and a case in one state."""
    key = (state, model_class, repr(case))
    if key not in _CACHE:
        while len(_CACHE) >= _CACHED:
            _CACHE.pop(next(iter(_CACHE)))
        _CACHE[key] = _STATES[state](model_class, case)
    return _CACHE[key]


def subjects(model_class: type[Model], case: Case) -> Iterator[Subject]:
    """Both states."""
    for state in _STATES:
        yield subject(state, model_class, case)
