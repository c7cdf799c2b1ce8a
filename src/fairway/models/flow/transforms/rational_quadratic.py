"""The rational-quadratic spline as a univariate map: its two directions with their gradients.

    to_latent   (u, phi) -> (z, log dz/du)       gradient: `Spline.pull` at (u, phi)
    to_data     (z, phi) -> (u, log du/dz)       gradient: `Spline.pull_inverse` at the u that was reached

Eagerly the backward pass reuses the bins that the forward pass found. Compiled, it finds them again: one loop over the
entries reads u, phi and the incoming slopes, and writes the outgoing ones. A second derivative goes through the
gradient's own operations.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairway.models.flow.transforms.spline import LEAST_SIZE, Spline
from fairway.models.flow.transforms.univariate import Univariate

MOST_BINS = int(0.5 / LEAST_SIZE)  # their floors fill half of the box


class _Direction(NamedTuple):
    """One direction of a spline: a map (value, phi) and its gradient (u, phi, found, along value, along ladj)."""

    map: Callable[..., Any]
    pull: Callable[..., Any]
    spline: Spline
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
        found = d.spline.found(u, phi, 0) if ctx.found is None or torch.is_grad_enabled() else ctx.found
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


@lru_cache
def rational_quadratic(bins: int = 8, bound: float = 5.0) -> Univariate:
    """The spline with 3 bins - 1 parameters per dimension.

    Args:
        bins: K, from 2 on.
        bound: B; the identity beyond.

    Raises:
        ValueError: fewer than two bins, so many that their floors fill the box, or a bound that is not positive.
    """
    if not 2 <= bins <= MOST_BINS or not 0 < bound < math.inf:
        raise ValueError(f"expected 2 to {MOST_BINS} bins and a bound above 0, got {bins} and {bound}")
    spline = Spline(bins, bound)
    to_latent = _map(_Direction(spline.to_latent, spline.pull, spline, inverse=False))
    to_data = _map(_Direction(spline.to_data, spline.pull_inverse, spline, inverse=True))
    return Univariate(3 * bins - 1, to_latent, to_data, spline.solve)
