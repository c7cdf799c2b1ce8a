"""What an E step hands to the M step: weighted sums over rows, about known points, in float64.

    N_k = sum_n r_nk,   a_k = sum_n r_nk (u_n - c_k),   B_k = sum_n r_nk (u_n - c_k)(u_n - c_k)'

Sums add, over chunks of rows and over processes. Means and scatter follow:

    m_k = c_k + a_k / N_k,   sum_n r_nk (u_n - m_k)(u_n - m_k)' = B_k - a_k a_k' / N_k

which loses no digits that matter where c_k is within a few deviations of m_k, so the offset of the data plays no part.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fairway.core import parallel

ROOM = {"cpu": 2**18, "cuda": 2**26}  # numbers a chunk of rows may unfold into: what a cache holds, what a device hides


@dataclass
class Sums:
    """Sums over rows: of log densities and weights, (); count (K,), first (K, D), second (K, D, D) or its diagonal."""

    log_prob: Tensor
    weight: Tensor
    count: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def zeros(cls, components: int, *shape: int, device: torch.device) -> "Sums":
        """Empty sums; shape of a second moment: (D, D), or (D,) for its diagonal."""
        sizes = ((), (), (components,), (components, shape[0]), (components, *shape))
        return cls(*(torch.zeros(size, dtype=torch.float64, device=device) for size in sizes))

    def over_processes(self) -> "Sums":
        """The sums over the rows of all processes, in one message."""
        mine = [self.log_prob, self.weight, self.count, self.first, self.second]
        whole = parallel.total(torch.cat([part.flatten() for part in mine]))
        parts = whole.split([part.numel() for part in mine])
        return Sums(*(part.view_as(like) for part, like in zip(parts, mine, strict=True)))

    def moments(self) -> "Moments":
        """Counts, means and scatter, relative to the points that the sums are about."""
        count = self.count.clamp(min=1e-10)
        mean = self.first / count.unsqueeze(1)
        square = self.first.unsqueeze(2) * mean.unsqueeze(1) if self.second.ndim == 3 else self.first * mean
        return Moments(count, mean, self.second - square)


@dataclass
class Moments:
    """count (K,), means (K, D), scatter (K, D, D) or its diagonal (K, D): sums of squares about the means."""

    count: Tensor
    means: Tensor
    scatter: Tensor


def diagonal(covariance: str) -> bool:
    """Whether components of this form are described by their variances alone."""
    return covariance in ("diagonal", "spherical")


def total_weight(rows: int, weight: Tensor | None, device: torch.device) -> Tensor:
    """What rows count for together, float64."""
    if weight is None:
        return torch.tensor(float(rows), dtype=torch.float64, device=device)
    return weight.double().sum()


def chunks(rows: int, each: int, device: torch.device, least: int = 1) -> list[slice]:
    """Slices of rows so that a chunk, at `each` numbers a row, has room.

    Their length is an odd multiple of 8: columns a power of two apart would share their places in the cache.
    """
    size = max(ROOM.get(device.type, ROOM["cpu"]) // each, least) // 16 * 16 + 8
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def responsibilities(joint: Tensor, weight: Tensor | None = None) -> Tensor:
    """(K, B) log joint densities of rows with weights (B,) -> the sum of their log densities, float64.

    The joint turns into responsibilities, times the weights, in its own memory.
    """
    top, least = joint.amax(0), 3 * math.log(torch.finfo(joint.dtype).eps)
    total = joint.sub_(top).clamp_(min=least).exp_().sum(0)  # smaller ones count for nothing, and subnormal are slow
    joint.div_(total)
    log_prob = top.add_(total.log_())
    if weight is not None:
        joint.mul_(weight)
        log_prob.mul_(weight)
    return log_prob.sum(dtype=torch.float64)
