"""How data become noise: u_t = alpha(t) u_0 + sigma(t) eps, t in [0, 1], 0 = data, 1 = noise.

    linear    alpha = 1 - t,          sigma = t               straight lines (flow matching; Lipman et al. 2023)
    cosine    alpha = cos(pi t / 2),  sigma = sin(pi t / 2)   constant variance for data of variance 1

A schedule is a pure function of t; its derivatives, which velocities need, follow by forward-mode differentiation
unless they are written out. Both schedules here end in pure noise, alpha(1) = 0; one that does not should say how
much signal is left.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]


class Schedule(ABC):
    """t (...) -> alpha (...), sigma (...)."""

    @abstractmethod
    def __call__(self, t: Tensor) -> Pair:
        """alpha(t), sigma(t)."""

    def derivatives(self, t: Tensor) -> Pair:
        """alpha'(t), sigma'(t)."""
        t = t.contiguous()
        slopes: Pair = torch.func.jvp(self.__call__, (t,), (torch.ones_like(t),))[1]
        return slopes


class Linear(Schedule):
    """alpha = 1 - t, sigma = t."""

    def __call__(self, t: Tensor) -> Pair:
        return 1 - t, t

    def derivatives(self, t: Tensor) -> Pair:
        return -torch.ones_like(t), torch.ones_like(t)


class Cosine(Schedule):
    """alpha = cos(pi t / 2), sigma = sin(pi t / 2)."""

    def __call__(self, t: Tensor) -> Pair:
        angle = t * (math.pi / 2)
        return angle.cos(), angle.sin()

    def derivatives(self, t: Tensor) -> Pair:
        alpha, sigma = self(t)
        return -sigma * (math.pi / 2), alpha * (math.pi / 2)


SCHEDULES: dict[str, type[Schedule]] = {"linear": Linear, "cosine": Cosine}


def schedule_named(name: str) -> Schedule:
    """A schedule by name.

    Raises:
        ValueError: unknown name.
    """
    if name not in SCHEDULES:
        raise ValueError(f"expected a schedule among {', '.join(SCHEDULES)}, got {name!r}")
    return SCHEDULES[name]()
