"""Increasing maps of one number, as pure functions of (value, parameters).

    shift    z = u + t,         ladj = 0                          phi = (t,)
    affine   z = u e^s + t,     ladj = s,   s = B tanh(a / B)     phi = (a, t); B = 3 keeps a step within e^3

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
    """

    parameters: int
    to_latent: Map
    to_data: Map


def log_scale(a: Tensor) -> Tensor:
    """A log scale bounded smoothly, near a around 0."""
    return LARGEST_LOG_SCALE * torch.tanh(a / LARGEST_LOG_SCALE)


def affine_to_latent(u: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """z = u e^s + t."""
    s = log_scale(phi[0])
    return torch.addcmul(phi[1], u, s.exp()), s


def affine_to_data(z: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """u = (z - t) e^-s."""
    s = log_scale(phi[0])
    return (z - phi[1]) * (-s).exp(), -s


def shift_to_latent(u: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """z = u + t."""
    return u + phi[0], torch.zeros_like(u)


def shift_to_data(z: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """u = z - t."""
    return z - phi[0], torch.zeros_like(z)


affine = Univariate(2, affine_to_latent, affine_to_data)
shift = Univariate(1, shift_to_latent, shift_to_data)
