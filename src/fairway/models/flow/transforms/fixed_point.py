"""Iteration to a fixed point, row by row, and the gradient through its end without the iteration.

    x <- step(x)  until  |step(x) - x| <= tolerance (1 + |x|)     a row that is there stays, whatever the others do
    f(x) = z:     dx = J^-1 (dz - d_theta f),   J = df/dx at x        (implicit function theorem)

So the backward pass needs one adjoint solve, J^T y = g, at the solution: no memory of the iterations. Where f = I + g
contracts, or f is triangular, that solve is itself a fixed point: y <- y + P (g - J^T y).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fairway.core.numerics import expand_as_rows

Map = Callable[[Tensor], Tensor]
Look = tuple[Tensor, Tensor, Tensor]


def fixed_point(step: Map, start: Tensor, iterations: int = 1000, roundings: float = 16.0) -> tuple[Tensor, Tensor]:
    """The fixed point from a start (B, *shape), and which rows (B,) reached it.

    Args:
        step: the map, rows independent of one another.
        start: where to begin.
        iterations: at most.
        roundings: tolerance, in units of the floating-point error of the largest entry of a row.
    """
    x, done = start, torch.zeros(len(start), dtype=torch.bool, device=start.device)
    tolerance = roundings * torch.finfo(start.dtype).eps
    for _ in range(iterations):
        new = step(x)
        change, size = _largest(new - x), _largest(x)
        x = torch.where(expand_as_rows(done, x), x, new)
        done = done | (change <= tolerance * (1 + size))
        if bool((done | ~change.isfinite()).all()):
            break
    return x, done


def damped(look: Callable[[Tensor], Look], start: Tensor, attempts: int = 100) -> tuple[Tensor, Tensor]:
    """u <- u - rate residual / diagonal, to the root of a map with a triangular Jacobian; which rows (B,) got there.

    With a rate of 1 the error near a root is nilpotent: gone in as many steps as there are entries, usually in few. A
    step after which a row's residual is larger is taken back and tried again at half the rate; a row that needs a rate
    below 1/100 is given up.

    Args:
        look: u -> residual, diagonal of its Jacobian, and which rows (B,) are near enough.
        start: (B, *shape).
        attempts: at most.
    """
    u, (residual, diagonal, done) = start, look(start)
    rate = torch.ones(len(u), dtype=u.dtype, device=u.device)
    for _ in range(attempts):
        if bool((done | (rate < 1e-2)).all()):
            break
        trial = u - expand_as_rows(rate, u) * residual / diagonal
        new_residual, new_diagonal, near = look(trial)
        better = near | (_largest(new_residual) < _largest(residual))
        take = expand_as_rows(better & ~done, u)
        u, residual = torch.where(take, trial, u), torch.where(take, new_residual, residual)
        diagonal, done = torch.where(take, new_diagonal, diagonal), done | near
        rate = torch.where(better, (2 * rate).clamp(max=1.0), rate / 2)
    trial = u - residual / diagonal  # near enough is a few roundings off: one step more, where it gains
    closer = done & (_largest(look(trial)[0]) < _largest(residual))
    return torch.where(expand_as_rows(closer, u), trial, u), done


def solved(f: Map, x: Tensor, z: Tensor, adjoint: Callable[[Map, Tensor], Tensor]) -> Tensor:
    """x with f(x) = z, made to carry the gradient to z and to all that f holds.

    Args:
        f: the map that was inverted.
        x: its solution, without gradient.
        z: the right-hand side.
        adjoint: (y -> J^T y, g) -> the y with J^T y = g.
    """
    if not torch.is_grad_enabled():
        return x
    residual = z - f(x)
    if not residual.requires_grad:
        return x

    def solve(g: Tensor) -> Tensor:
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            value = f(point)
        return adjoint(lambda y: torch.autograd.grad(value, point, y, retain_graph=True)[0], g)

    carried: Tensor = _Implicit.apply(residual, x, solve)
    return carried


class _Implicit(torch.autograd.Function):
    """x in the forward pass, J^-T in the backward pass."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, x: Tensor, solve: Map) -> Tensor:
        ctx.solve = solve
        return x.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return ctx.solve(gradient), None, None


def _largest(x: Tensor) -> Tensor:
    return x.flatten(1).abs().amax(1)
