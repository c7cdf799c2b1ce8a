"""Gradients through a direction that was solved for: the implicit function theorem.

    T(u; theta) = z defines u(z, theta);      du = J^-1 (dz - dT/dtheta dtheta),   J = dT/du at the solution

So u* is found without a graph, the residual r = z - T(u*; theta) is evaluated once with one (its value is zero), and
u* receives the gradient g through r as J^-T g: one solve with the transposed Jacobian, whatever the search took.
First derivatives only.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class _Attached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, u: Tensor, residual: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.solve = solve
        return u.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return None, ctx.solve(gradient), None


def attached(u: Tensor, residual: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
    """The solution u, with the gradient of what it solves.

    Args:
        u: the solution, without a graph.
        residual: z - T(u; theta) at the detached solution, with the graph of z and theta; same shape as u.
        solve: g -> J^-T g, same shapes; called in the backward pass, without gradient.

    >>> theta = torch.tensor(3.0, requires_grad=True)
    >>> u = torch.tensor(2.0)  # of u^theta = 8
    >>> x = attached(u, 8 - u**theta, lambda g: g / (3 * u**2))
    >>> round(float(torch.autograd.grad(x, theta)[0]), 4)  # d 8^(1/theta) / d theta = -8^(1/3) log(8) / 9
    -0.4621
    """
    out: Tensor = _Attached.apply(u, residual, solve)
    return out


def wants_gradient(module: nn.Module, *inputs: Tensor | None) -> bool:
    """Whether anyone could ask for a gradient through a call of this module on these inputs."""
    if not torch.is_grad_enabled():
        return False
    return any(x is not None and x.requires_grad for x in inputs) or any(p.requires_grad for p in module.parameters())
