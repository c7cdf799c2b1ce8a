"""Directions of a transform that run compiled code, by one owner.

    z, ladj = direction(transform, "to_latent")(u, context)       compiled, once `compile_directions` was asked for it

Compiled functions hold on to the transform that they were made for; a copy of a flow must not answer through the
weights of its original. So they are kept beside the transform with a weak reference to it, and a copy, whose reference
leads to another owner, is eager until it is compiled itself. Nothing is saved.
"""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from fairway.core.compiler import cannot_compile
from fairway.models.flow.transforms.transform import Transform

Direction = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]
DIRECTIONS = ("to_latent", "to_data")
PLACE = "_compiled_directions"


def compile_directions(transform: Transform, directions: Iterable[str]) -> None:
    """From here on these directions run compiled; each size of a batch is compiled at its first use.

    Raises:
        RuntimeError: no direction, or this machine cannot compile.
    """
    directions = tuple(directions)
    reason = cannot_compile() if directions else "both directions of this flow take many small steps"
    if reason:
        raise RuntimeError(f"cannot compile: {reason}; the flow answers without")
    made = {name: torch.compile(getattr(transform, name)) for name in directions}
    object.__setattr__(transform, PLACE, (weakref.ref(transform), made))


def direction(transform: Transform, name: str) -> Direction:
    """The compiled function of a direction, or the method itself."""
    owner, made = transform.__dict__.get(PLACE, (None, {}))
    function: Any = made.get(name) if owner is not None and owner() is transform else None
    return function or getattr(transform, name)


def parallel(transform: Transform) -> tuple[str, ...]:
    """The directions that go entry by entry nowhere, which are those that compiling makes faster."""
    return tuple(name for name in DIRECTIONS if name not in transform.one_by_one)
