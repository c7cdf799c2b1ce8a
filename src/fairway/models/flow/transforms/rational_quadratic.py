"""The rational-quadratic spline as a univariate map: its two directions with their gradients, eager or compiled.

    to_latent   (u, phi) -> (z, log dz/du)       gradient: `Spline.pull` at (u, phi)
    to_data     (z, phi) -> (u, log du/dz)       gradient: `Spline.pull_inverse` at the u that was reached

Eagerly the backward pass reuses the bins that the forward pass found. Compiled, it finds them again: one loop over the
entries reads u, phi and the incoming slopes, and writes the outgoing ones. All layers of a flow share one kernel for
each direction, so that a deep flow compiles as fast as a shallow one. A second derivative goes through the gradient's
own operations, eagerly.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairway.core.compiler import cannot_compile
from fairway.models.flow.transforms.spline import LEAST_SIZE, Spline
from fairway.models.flow.transforms.univariate import Univariate

MOST_BINS = int(0.5 / LEAST_SIZE)  # their floors fill half of the box


class _Direction(NamedTuple):
    """One direction of a spline: a map (value, phi) and its gradient (u, phi, found, along value, along ladj)."""

    map: Callable[..., Any]
    pull: Callable[..., Any]
    find: Callable[[Tensor, Tensor], Any]
    inverse: bool


class _Map(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, phi: Tensor, direction: _Direction) -> tuple[Tensor, Tensor]:
        out, ladj, found = direction.map(value, phi)
        ctx.save_for_backward(out if direction.inverse else value, phi)
        ctx.direction, ctx.found = direction, None if torch.compiler.is_compiling() else found
        return out, ladj

    @staticmethod
    def backward(ctx: Any, along_value: Tensor, along_ladj: Tensor) -> Any:
        (u, phi), d = ctx.saved_tensors, ctx.direction
        found = d.find(u, phi) if ctx.found is None or torch.is_grad_enabled() else ctx.found
        return (*d.pull(u, phi, found, along_value, along_ladj), None)


def _map(direction: _Direction) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    apply: Callable[..., Any] = _Map.apply

    def mapped(value: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        if torch.is_grad_enabled():
            out, ladj = apply(value, phi, direction)
        else:
            out, ladj, _ = direction.map(value, phi)
        return out, ladj

    return mapped


def _directions(spline: Spline) -> tuple[_Direction, _Direction]:
    def find(u: Tensor, phi: Tensor) -> Any:
        return spline.found(u, phi, 0)

    return _Direction(spline.to_latent, spline.pull, find, False), _Direction(
        spline.to_data, spline.pull_inverse, find, True
    )


def _compiled(direction: _Direction) -> _Direction:
    """The same with one kernel for the map and one for its gradient."""
    kernel = torch.compile(lambda value, phi: direction.map(value, phi)[:2], dynamic=False, fullgraph=True)
    pull = torch.compile(
        lambda u, phi, *along: direction.pull(u, phi, direction.find(u, phi), *along), dynamic=False, fullgraph=True
    )

    def pulled(u: Tensor, phi: Tensor, found: Any, *along: Tensor) -> Any:
        return direction.pull(u, phi, found, *along) if torch.is_grad_enabled() else pull(u, phi, *along)

    return _Direction(
        lambda value, phi: (*kernel(value, phi), None),
        pulled,
        lambda u, phi: direction.find(u, phi) if torch.is_grad_enabled() else None,
        direction.inverse,
    )


@lru_cache
def rational_quadratic(bins: int = 8, bound: float = 5.0, compiled: bool = False) -> Univariate:
    """The spline with 3 bins - 1 parameters per dimension.

    Args:
        bins: K, from 2 on.
        bound: B; the identity beyond.
        compiled: by kernels compiled at the first use of each shape.

    Raises:
        ValueError: fewer than two bins, so many that their floors fill the box, or a bound that is not positive.
    """
    if not 2 <= bins <= MOST_BINS or not 0 < bound < math.inf:
        raise ValueError(f"expected 2 to {MOST_BINS} bins and a bound above 0, got {bins} and {bound}")
    spline = Spline(bins, bound)
    directions = _directions(spline)
    if compiled and not cannot_compile():
        directions = _compiled(directions[0]), _compiled(directions[1])
    to_latent, to_data = map(_map, directions)
    return Univariate(3 * bins - 1, to_latent, to_data, spline.solve)
