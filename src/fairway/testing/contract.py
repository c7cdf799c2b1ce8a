"""The contract: every clause, which of them apply to a model, and the call that runs them all.

>>> from fairway.models.registry import models
>>> len(contract) > 30
True

A stranger writes `check_model(MyModel)`; the library's own tests run the same clauses over the whole registry.
"""

from collections.abc import Iterable, Sequence

from fairway.core.model import Case, Model
from fairway.testing import bounds, configuration, density, drawing, latents, learning, noise_levels, subsets
from fairway.testing.check import Check, ContractError
from fairway.testing.subject import subject

contract: list[Check] = [
    *configuration.CHECKS,
    *learning.CHECKS,
    *drawing.CHECKS,
    *density.CHECKS,
    *latents.CHECKS,
    *bounds.CHECKS,
    *subsets.CHECKS,
    *noise_levels.CHECKS,
]


def applicable(model_class: type[Model], case: Case, checks: Iterable[Check] = tuple(contract)) -> list[Check]:
    """The clauses that a model can be asked on a case (builds the model, which takes milliseconds)."""
    model = subject("redrawn", model_class, case).model
    return [check for check in checks if check.applies(model)]


def check_model(model_class: type[Model], cases: Sequence[Case] | None = None) -> list[str]:
    """Run the contract on a model and its tiny cases.

    Args:
        model_class: a `Model` with hooks and `tiny` cases; it need not be registered.
        cases: other cases than `model_class.tiny`.

    Returns:
        The clauses that ran, as "case-clause".

    Raises:
        ContractError: every clause that is broken, with the figures; or there is no case.
    """
    cases = model_class.tiny if cases is None else cases
    if not cases:
        raise ContractError(f"{model_class.__name__} has no cases: set tiny = [Case(event, context_event, arguments)]")
    ran, broken = [], []
    for case in cases:
        for check in applicable(model_class, case):
            ran.append(f"{case_name(case)}-{check.name}")
            try:
                check(model_class, case)
            except Exception as error:
                broken.append(str(error) if isinstance(error, ContractError) else f"{ran[-1]}: {error!r}")
    if broken:
        raise ContractError(f"{len(broken)} of {len(ran)} clauses are broken:\n" + "\n".join(f"  {b}" for b in broken))
    return ran


def case_name(case: Case) -> str:
    """A short readable name: the kind, the shape, and what it is conditional on."""
    shape = "x".join("n" if size is None else str(size) for size in case.event.shape) or "scalar"
    given = "" if case.context_event is None else f"_given_{case.context_event.kind}"
    return f"{case.event.kind}_{shape}{'_with_gaps' if case.event.missing else ''}{given}"
