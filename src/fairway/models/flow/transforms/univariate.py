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
        solve: (z, phi, out) -> u alone, written into `out`, without gradient: what goes entry by entry asks for no
            more.
    """

    parameters: int
    to_latent: Map
    to_data: Map
    solve: Callable[[Tensor, Tensor, Tensor], Tensor]


def log_scale(a: Tensor) -> Tensor:
    """A log scale bounded smoothly, near a around 0 (a hyperbolic tangent would take several times as long)."""
    one = a.new_ones(()) if torch.compiler.is_compiling() else _one(a.dtype, a.device)
    return a * torch.addcmul(one, a, a, value=LARGEST_LOG_SCALE**-2).rsqrt_()


def raw_log_scale(s: Tensor) -> Tensor:
    """The a with log_scale(a) = s, for s within the bound."""
    return s * torch.rsqrt(1 - (s / LARGEST_LOG_SCALE).square())


def affine_to_latent(u: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """z = u e^s + t."""
    s = log_scale(phi[0])
    return torch.addcmul(phi[1], u, s.exp()), s


def affine_to_data(z: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """u = (z - t) e^-s."""
    s = log_scale(phi[0])
    return (z - phi[1]) / s.exp(), -s


def affine_solve(z: Tensor, phi: Tensor, out: Tensor) -> Tensor:
    """u alone, in as few operations as it takes: on a row of numbers a call costs more than the arithmetic."""
    a, t = phi.unbind(0)
    scale = torch.addcmul(_one(a.dtype, a.device), a, a, value=LARGEST_LOG_SCALE**-2).rsqrt_().mul_(a).exp_()
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
