"""Ordinary differential equations du/dt = f(u, t) on a fixed grid, and the density they carry.

    classical Runge-Kutta:  u(t + h) = u + h (k1 + 2 k2 + 2 k3 + k4) / 6,   error O(h^4) over a fixed interval
    Heun:                   u(t + h) = u + h (k1 + k2) / 2,                 error O(h^2)
    continuous change of variables (Chen et al. 2018, Neural ODE, eq. 8):  d log p(u(t)) / dt = -tr(df/du)

A fixed grid keeps rows independent of their neighbours in the batch: the same seed gives the same sample whatever
the batch size. The trace is exact while D <= 16 (one vector-Jacobian product per dimension) and Hutchinson's
estimate above, with probes from fixed seeds, so that a density is a function of its argument alone. Every evaluation
has probes of its own: one probe for the whole path would make the same error all the way (0.1 bits per dimension on
8x8 digits, against 0.02). Fixed probes are shared by all rows, so is their error; where an error is to be stated, rows
have probes of their own, drawn anew for each estimate.
"""

import itertools
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from fairway.core.random import Rows

Field = Callable[[Tensor, Tensor], Tensor]  # (u (B, ...), t scalar) -> (B, ...)
EXACT_TRACE = 16
METHODS = {"euler": 1, "heun": 2, "rk4": 4}  # evaluations per step


def integrate(field: Field, u: Tensor, times: Tensor, method: str = "rk4") -> Tensor:
    """u at times[-1], starting from u at times[0]; one step per grid interval.

    Args:
        field: du/dt as a function of (u, t).
        u: (B, ...) start.
        times: (steps + 1,) grid, increasing or decreasing.
        method: euler, heun or rk4.

    Raises:
        ValueError: unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"expected a method among {', '.join(METHODS)}, got {method!r}")
    for t, s in pairwise(times):
        u = _step(field, u, t, s - t, method)
    return u


def _step(field: Field, u: Tensor, t: Tensor, h: Tensor, method: str) -> Tensor:
    k1 = field(u, t)
    if method == "euler":
        return u + h * k1
    if method == "heun":
        return u + h / 2 * (k1 + field(u + h * k1, t + h))
    k2 = field(u + h / 2 * k1, t + h / 2)
    k3 = field(u + h / 2 * k2, t + h / 2)
    k4 = field(u + h * k3, t + h)
    return u + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def integrate_with_ladj(
    field: Field, u: Tensor, times: Tensor, probes: int = 1, method: str = "rk4", rows: Rows | None = None
) -> tuple[Tensor, Tensor]:
    """Like `integrate`, with the integral of the trace: (u at the end, ladj (B,)); log p0(u0) = log p1(u1) + ladj.

    Args:
        probes: Hutchinson probes (Rademacher) used when an observation has more than 16 entries.
        rows: their source, each row its own; None for fixed seeds, the same for all rows.
    """
    shape, dims = u.shape, u[0].numel()
    seeds = itertools.count()

    def augmented(state: Tensor, t: Tensor) -> Tensor:
        value = state[:, :dims].reshape(shape)
        probe = _probes(next(seeds), dims, probes, u, rows) if dims > EXACT_TRACE else None
        velocity, trace = _field_and_trace(field, value, t, probe)
        return torch.cat([velocity.reshape(len(state), dims), trace.unsqueeze(1)], 1)

    start = torch.cat([u.reshape(len(u), dims), u.new_zeros(len(u), 1)], 1)
    end = integrate(augmented, start, times, method)
    return end[:, :dims].reshape(shape), end[:, dims]


def _probes(seed: int, dims: int, probes: int, like: Tensor, rows: Rows | None) -> Tensor:
    """(probes, 1 or B, dims) signs, the same for every row or its own: neither depends on the row's neighbours."""
    if rows is None:
        uniform = Rows(seed, n=probes, dtype=like.dtype, device=like.device).uniform(1, dims)
    else:
        uniform = rows.spawn(seed).uniform(probes, dims).transpose(0, 1)
    return (uniform < 0.5).to(like.dtype) * 2 - 1


def _field_and_trace(field: Field, u: Tensor, t: Tensor, probe: Tensor | None) -> tuple[Tensor, Tensor]:
    """f(u, t) and tr(df/du) per row; keeps the graph when gradients are on outside."""
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        point = u if u.requires_grad else u.detach().requires_grad_()
        velocity = field(point, t)
        flat = velocity.reshape(len(u), -1)
        basis = torch.eye(flat.shape[1], dtype=u.dtype, device=u.device).unsqueeze(1) if probe is None else probe
        trace = torch.stack([_quadratic(flat, point, v, keep) for v in basis])
    trace = trace.sum(0) if probe is None else trace.mean(0)
    return (velocity, trace) if keep else (velocity.detach(), trace.detach())


def _quadratic(flat: Tensor, point: Tensor, v: Tensor, keep: bool) -> Tensor:
    """v' (df/du) v per row, by one vector-Jacobian product."""
    if not flat.requires_grad:
        return flat.new_zeros(len(flat))
    (vjp,) = torch.autograd.grad(
        flat, point, v.expand_as(flat), create_graph=keep, retain_graph=True, allow_unused=True
    )
    return flat.new_zeros(len(flat)) if vjp is None else (vjp.reshape(len(flat), -1) * v).sum(1)


def grid(start: float, end: float, steps: int, like: Tensor) -> Tensor:
    """(steps + 1,) equidistant times in the dtype and on the device of `like`."""
    return torch.linspace(start, end, steps + 1, dtype=like.dtype, device=like.device)


__all__: Sequence[str] = ("EXACT_TRACE", "METHODS", "grid", "integrate", "integrate_with_ladj")
