"""Products with a masked matrix whose connections form a staircase, without the corner that is zero.

    y = W x + b,   W (outputs, inputs), x (inputs, B):     rows R_k of W see the columns C_k alone
    y[R_k] = W[R_k, C_k] x[C_k] + b[R_k],    k = 1, ..., K

Units sorted by degree make the weights of a masked network lower triangular by blocks: of K steps each multiplies what
its rows are connected with, (K + 1) / (2 K) of the whole. The gradients are staircases, too:

    dL/dx[C] = W[R, C]' g[R],   R the rows that see C          dL/dW[R_k, C_k] = g[R_k] x[C_k]'

A step costs a call, so a small product is taken at once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.core.numerics import under_transform

Steps = list[tuple[slice, slice]]
COUNTS, WORTH = (2, 4), 0.85  # of steps; the share of a matrix that they may take
LEAST = {True: (1_000_000, 16_000_000), False: (math.inf, 16_000_000)}  # multiplications, compiled or not, that pay


@dataclass(frozen=True)
class Stairs:
    """Where the connections of a mask lie.

    Args:
        rows: for each run of rows the columns from the first to the last that it sees.
        columns: for each run of columns the rows from the first to the last that see it.
    """

    rows: Steps
    columns: Steps

    @property
    def work(self) -> int:
        """Entries of the matrix that are multiplied."""
        return sum((r.stop - r.start) * (c.stop - c.start) for r, c in self.rows)


def staircases(mask: Tensor) -> dict[int, Stairs]:
    """The stairs of a mask (outputs, inputs) by the number of their steps, those that leave enough out."""
    found = {count: stairs(mask, count) for count in COUNTS}
    return {count: steps for count, steps in found.items() if steps.work <= WORTH * mask.numel()}


def stairs(mask: Tensor, count: int) -> Stairs:
    """The stairs of a mask (outputs, inputs) in some steps."""
    return Stairs(_runs(mask, count), _runs(mask.T, count))


def _runs(mask: Tensor, count: int) -> Steps:
    runs = []
    for part in torch.arange(len(mask)).tensor_split(count):
        if len(part):
            seen = mask[part].any(0).nonzero().flatten().tolist() or [0, -1]
            runs.append((slice(int(part[0]), int(part[-1]) + 1), slice(seen[0], seen[-1] + 1)))
    return runs


def product(x: Tensor, weight: Tensor, offset: Tensor, choices: dict[int, Stairs]) -> Tensor:
    """W x + b, (outputs, B).

    Args:
        x: (inputs, B).
        weight: (outputs, inputs), zero off the stairs.
        offset: (outputs, 1) or (outputs, B).
        choices: stairs by the number of their steps.
    """
    compiling = torch.compiler.is_compiling()
    work, least = weight.numel() * x.shape[1], LEAST[compiling]
    if work < min(least) or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return torch.addmm(offset, weight, x)
    paying = [count for count, wanted in zip(COUNTS, least, strict=True) if work >= wanted and count in choices]
    if not paying:
        return torch.addmm(offset, weight, x)
    chosen = choices[paying[-1]]
    if compiling:  # and fusing what the slices cost
        return torch.cat([torch.addmm(offset[r], weight[r, c], x[c]) for r, c in chosen.rows])
    if under_transform():
        return torch.addmm(offset, weight, x)
    if not torch.is_grad_enabled():
        return _climb(x, weight, offset, chosen)
    apply: Callable[..., Tensor] = _Product.apply
    return apply(x, weight, offset, chosen)


def _climb(x: Tensor, weight: Tensor, offset: Tensor, chosen: Stairs) -> Tensor:
    out = x.new_empty(len(weight), x.shape[1])
    for r, c in chosen.rows:
        torch.addmm(offset[r], weight[r, c], x[c], out=out[r])
    return out


class _Product(torch.autograd.Function):
    """With its gradient; a second derivative takes whole products."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, offset: Tensor, chosen: Stairs) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)
        ctx.chosen, ctx.width = chosen, offset.shape[1]
        return _climb(x, weight, offset, chosen)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        along = _whole if torch.is_grad_enabled() else _along_stairs
        along_x, along_weight = along(x, weight, g, ctx)
        return along_x, along_weight, g if ctx.width > 1 else g.sum(1, keepdim=True), None

    @staticmethod
    def jvp(ctx: Any, x_change: Tensor, weight_change: Tensor, offset_change: Tensor, _: None) -> Any:
        x, weight = ctx.saved_tensors
        parts = [weight @ x_change if x_change is not None else None]
        parts += [weight_change @ x if weight_change is not None else None, offset_change]
        return sum((part for part in parts if part is not None), torch.zeros_like(weight @ x))


def _whole(x: Tensor, weight: Tensor, g: Tensor, ctx: Any) -> tuple[Tensor | None, Tensor | None]:
    along_x, along_weight, *_ = ctx.needs_input_grad
    return weight.T @ g if along_x else None, g @ x.T if along_weight else None


def _along_stairs(x: Tensor, weight: Tensor, g: Tensor, ctx: Any) -> tuple[Tensor | None, Tensor | None]:
    along_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
    along_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
    if along_x is not None:
        for c, r in ctx.chosen.columns:
            torch.mm(weight[r, c].T, g[r], out=along_x[c])
    if along_weight is not None:
        for r, c in ctx.chosen.rows:
            torch.mm(g[r], x[c].T, out=along_weight[r, c])
    return along_x, along_weight
