"""Increasing maps of one number, as pure functions of (value, parameters).

    affine   z = u e^s + t,   ladj = s,   s = B tanh(a / B)          (phi = (a, t); B = 3 keeps a step within e^3)

phi has a leading axis of parameters: (parameters, B, d); values and ladj are (B, d). With phi = 0 each is the identity.
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


def _log_scale(a: Tensor) -> Tensor:
    return LARGEST_LOG_SCALE * torch.tanh(a / LARGEST_LOG_SCALE)


def affine_to_latent(u: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """z = u e^s + t."""
    s = _log_scale(phi[0])
    return u * s.exp() + phi[1], s


def affine_to_data(z: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
    """u = (z - t) e^-s."""
    s = _log_scale(phi[0])
    return (z - phi[1]) * (-s).exp(), -s


affine = Univariate(2, affine_to_latent, affine_to_data)
