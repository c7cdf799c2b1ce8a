"""One clause of the contract: a name, when it applies, and a function that raises where a model breaks it.

    @check(lambda model: model.supports(HasLogProb))
    def log_prob_is_finite(s: Subject) -> None:
        expect(...)

A check is called with a class and a case, and runs on both states of the model. It applies to a case or not; it never
skips for any other reason.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.core.model import Case, Model
from fairway.testing.subject import Subject, subject

DENSITY_STEPS = 4


class ContractError(AssertionError):
    """A model broke a clause of the contract; the message says which, where and by how much."""


@dataclass(frozen=True)
class Check:
    """A clause: `check(model_class, case)` raises a ContractError where it is broken.

    Args:
        name: for reports and test ids.
        applies: whether a built instance can be asked at all.
        run: the clause, on one subject.
        states: the states of the model it is run on.
        fine: with as many steps of an ODE as users get, for a clause that tolerates less than `coarse` loses.
    """

    name: str
    applies: Callable[[Any], bool]
    run: Callable[[Subject], None]
    states: tuple[str, ...] = ("redrawn", "trained")
    fine: bool = False

    def __call__(self, model_class: type[Model], case: Case) -> None:
        for state in self.states:
            try:
                with nullcontext() if self.fine else coarse(model_class):
                    self.run(subject(state, model_class, case))
            except ContractError as error:
                where = f"{model_class.__name__} on {case.event}, {state}"
                raise ContractError(f"{self.name}: {where}: {error}") from None


@contextmanager
def coarse(model_class: type[Model]) -> Iterator[None]:
    """The density and the latent of an ODE on fewer steps, as many each: of order four, they lose less than the clauses
    tolerate."""
    few = getattr(model_class, "least_density_steps", DENSITY_STEPS)
    owners: list[tuple[str, Any]] = [
        (name, next(base for base in model_class.__mro__ if name in base.__dict__))
        for name in ("density_steps", "latent_steps")
        if hasattr(model_class, name)
    ]
    before = [getattr(owner, name) for name, owner in owners]
    for (name, owner), steps in zip(owners, before, strict=True):
        setattr(owner, name, min(steps, few))
    try:
        yield
    finally:
        for (name, owner), steps in zip(owners, before, strict=True):
            setattr(owner, name, steps)


def always(model: Any) -> bool:
    """Applies to every model."""
    return True


def check(
    applies: Callable[[Any], bool] = always, states: tuple[str, ...] = ("redrawn", "trained"), fine: bool = False
) -> Callable[[Callable[[Subject], None]], Check]:
    """Make a function on a subject a check of the same name."""

    def decorate(run: Callable[[Subject], None]) -> Check:
        return Check(run.__name__, applies, run, states, fine)

    return decorate


def expect(holds: bool | Tensor, message: str) -> None:
    """Raise a ContractError with the message unless it holds."""
    if not bool(holds):
        raise ContractError(message)


def expect_close(got: Tensor, wanted: Tensor, what: str, rtol: float = 1e-7, atol: float = 1e-9) -> None:
    """Raise a ContractError that names the worst entry unless two tensors agree."""
    expect(got.shape == wanted.shape, f"{what}: expected shape {tuple(wanted.shape)}, got {tuple(got.shape)}")
    got, wanted = got.detach().double(), wanted.detach().double()
    error = (got - wanted).abs() - rtol * wanted.abs()
    error = torch.where(got == wanted, 0.0, error)  # equal infinities
    if not bool((error <= atol).all()):
        worst = int(error.nan_to_num(nan=torch.inf).argmax())
        pair = f"expected {float(wanted.flatten()[worst]):.9g}, got {float(got.flatten()[worst]):.9g}"
        raise ContractError(f"{what}: {pair} at entry {worst} of {got.numel()} ({int((error > atol).sum())} differ)")
