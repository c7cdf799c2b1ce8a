"""Increasing maps of one number, as pure functions of (value, parameters).

    shift    z = u + t,         ladj = 0                          phi = (t,)
    affine   z = u e^s + t,     ladj = s                          phi = (a, t)
             s = a / sqrt(1 + (a / B)^2),  B = 3: a step stays within e^3, and s is a near 0

phi has a leading axis of parameters, (parameters, *shape), for values and ladj of any shape. With phi = 0 each map is
the identity. The rational-quadratic spline has a file of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LARGEST_LOG_SCALE = 3.0
Map = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Univariate:
    """A map with its inverse.

    Args:
        parameters: numbers per dimension.
        to_latent: (u, phi) -> (z, ladj of z with respect to u).
        to_data: (z, phi) -> (u, ladj of u with respect to z).
        solve: (z, phi) -> u alone, without gradient: what goes entry by entry asks for no more.
    """

    parameters: int
    to_latent: Map
    to_data: Map
    solve: Callable[[Tensor, Tensor], Tensor]


def log_scale(a: Tensor) -> Tensor:
    """A log scale bounded smoothly, near a around 0 (a hyperbolic tangent would take several times as long)."""
    return a * torch.addcmul(a.new_ones(()), a, a, value=LARGEST_LOG_SCALE**-2).rsqrt_()


def raw_log_scale(s: Tensor) -> Tensor:
    """The a with log_scale(a) = s, for s within the bound."""
    return s * torch.rsqrt(1 - (s / LARGEST_LOG_SCALE).square())


def affine_to_latent(u: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """z = u e^s + t."""
    s = log_scale(phi[0])
    return torch.addcmul(phi[1], u, s.exp()), s


def affine_to_data(z: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """u = (z - t) e^-s."""
    back = -log_scale(phi[0])
    return (z - phi[1]) * back.exp(), back


def affine_solve(z: Tensor, phi: Tensor) -> Tensor:
    """u alone."""
    raw, t = phi.unbind(0)
    return (z - t).div_(log_scale(raw).exp_())


def shift_to_latent(u: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """z = u + t."""
    return u + phi[0], torch.zeros_like(u)


def shift_to_data(z: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """u = z - t."""
    return z - phi[0], torch.zeros_like(z)


affine = Univariate(2, affine_to_latent, affine_to_data, affine_solve)
shift = Univariate(1, shift_to_latent, shift_to_data, lambda z, phi: z - phi[0])
