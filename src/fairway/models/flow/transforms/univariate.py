"""Increasing maps of one number, as pure functions of (value, parameters).

    shift    z = u + t,         ladj = 0                          phi = (t,)
    affine   z = u e^s + t,     ladj = s                          phi = (a, t)
             s = a / sqrt(1 + (a / B)^2),  B = 3: a step stays within e^3, and s is a near 0

phi has a leading axis of parameters, (parameters, *shape), for values and ladj of any shape. With phi = 0 each map is
the identity. The rational-quadratic spline has a file of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from fairway.core.numerics import under_transform

LARGEST_LOG_SCALE = 3.0
Map = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Univariate:
    """A map with its inverse.

    Args:
        parameters: numbers per dimension.
        to_latent: (u, phi) -> (z, ladj of z with respect to u).
        to_data: (z, phi) -> (u, ladj of u with respect to z).
        solve: (z, phi, out) -> u alone, written into `out`, without gradient: what goes entry by entry asks for no
            more.
    """

    parameters: int
    to_latent: Map
    to_data: Map
    solve: Callable[[Tensor, Tensor, Tensor], Tensor]


def log_scale(a: Tensor) -> Tensor:
    """A log scale bounded smoothly, near a around 0 (a hyperbolic tangent would take several times as long)."""
    return a * _root(a)


def _root(a: Tensor) -> Tensor:
    """1 / sqrt(1 + (a / B)^2)."""
    one = a.new_ones(()) if torch.compiler.is_compiling() else _one(a.dtype, a.device)
    return torch.addcmul(one, a, a, value=LARGEST_LOG_SCALE**-2).rsqrt_()


def raw_log_scale(s: Tensor) -> Tensor:
    """The a with log_scale(a) = s, for s within the bound."""
    return s * torch.rsqrt(1 - (s / LARGEST_LOG_SCALE).square())


def affine_to_latent(u: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """z = u e^s + t."""
    alike = phi.shape[1:] == u.shape and phi.dtype == u.dtype
    plain = torch.compiler.is_compiling() or not torch.is_grad_enabled()
    if not alike or plain or under_transform():
        return _affine_to_latent(u, phi)
    apply: Callable[..., tuple[Tensor, Tensor]] = _Affine.apply
    return apply(u, phi)


def _affine_to_latent(u: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    a, t = phi.unbind(0)
    s = log_scale(a)
    return torch.addcmul(t, u, s.exp()), s


class _Affine(torch.autograd.Function):
    """The same with its gradient by hand, half as many operations: ds/da = (1 + (a / B)^2)^(-3/2)."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        a, t = phi.unbind(0)
        root = _root(a)
        s = a * root
        scale = s.exp()
        ctx.save_for_backward(u, phi, root, scale)
        return torch.addcmul(t, u, scale), s

    @staticmethod
    def backward(ctx: Any, along_z: Tensor, along_s: Tensor) -> tuple[Tensor, Tensor]:
        u, phi, root, scale = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is asked for
            at = u.view_as(u), phi.view_as(phi)  # phi may depend on u: along which is not asked here
            slopes = torch.autograd.grad(_affine_to_latent(*at), at, (along_z, along_s), create_graph=True)
            return slopes[0], slopes[1]
        along_phi = torch.empty_like(phi)
        along_a, along_t = along_phi.unbind(0)
        along_t.copy_(along_z)
        along_u = along_z * scale
        torch.addcmul(along_s, along_u, u, out=along_a)
        for _ in range(3):
            along_a.mul_(root)
        return along_u, along_phi


def affine_to_data(z: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """u = (z - t) e^-s."""
    a, t = phi.unbind(0)
    s = log_scale(a)
    return (z - t) / s.exp(), -s


def affine_solve(z: Tensor, phi: Tensor, out: Tensor) -> Tensor:
    """u alone, in as few operations as it takes: on a row of numbers a call costs more than the arithmetic."""
    a, t = phi.unbind(0)
    scale = _root(a).mul_(a).exp_()
    return torch.div(z - t, scale, out=out)


@lru_cache
@torch.inference_mode(False)  # whoever asks first: later ones may want a gradient
def _one(dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.ones((), dtype=dtype, device=device)


def shift_to_latent(u: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """z = u + t."""
    return u + phi[0], torch.zeros_like(u)


def shift_to_data(z: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """u = z - t."""
    return z - phi[0], torch.zeros_like(z)


affine = Univariate(2, affine_to_latent, affine_to_data, affine_solve)
shift = Univariate(1, shift_to_latent, shift_to_data, lambda z, phi, out: torch.sub(z, phi[0], out=out))
