"""log det(I + J) of a contraction's Jacobian J, |J| < 1, seen only through products J w.

    log det(I + J) = tr log(I + J) = sum_{k>=1} (-1)^{k+1} tr(J^k) / k,     tr M = E[v^T M v],  v = +-1 at random

    exact       D products build J, then a determinant: O(D^3) a row, for small D
    truncated   the first terms under fixed probes: deterministic, its gradient is its own
    unbiased    the sum stops at a random length N, and term k is divided by P(N >= k) (Kahn 1955; Chen et al. 2019,
                Residual flows, eq. 6): its mean is the whole series
    gradient    d log det(I + J) = tr[(I + J)^-1 dJ] = E[ v^T dJ sum_k (-1)^k J^k v / P(N >= k) ]      (ibid., eq. 8)

The gradient of the unbiased estimate is not differentiated through the series: the J^k v are computed without a graph
and pushed once more through J with one, so that memory does not grow with N. Shapes: w (K, B, *shape) -> J w alike.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from fairway.core.random import Rows, generator_for
from fairway.networks.lipschitz import Push

TERMS, PROBES = 20, 4  # of the truncated series; what is left is below L^21 / (21 (1 - L)) per entry, mostly far below
TOGETHER = 16  # columns of J at once
ALWAYS, CONTINUE = 2, 0.5  # terms that every row takes, chance of one more after that


def exact_log_det(push: Push, like: Tensor) -> Tensor:
    """(B,): log|det(I + J)|, J built from its D columns.

    Args:
        push: w (K, B, *shape) -> J w.
        like: (B, *shape).
    """
    dims = like[0].numel()
    eye = torch.eye(dims, dtype=like.dtype, device=like.device)
    basis = eye.unsqueeze(1).expand(dims, len(like), dims).reshape(dims, *like.shape)
    pushed = [push(some) for some in basis.split(TOGETHER)]
    columns = torch.cat(pushed).flatten(2).permute(1, 2, 0)
    return torch.linalg.slogdet(columns + eye).logabsdet


def truncated_log_det(push: Push, like: Tensor, seed: int = 0) -> Tensor:
    """(B,): the first terms of the series, under the same few probes for every row.

    Args:
        push, like: as above.
        seed: of the probes.
    """
    uniforms = torch.rand(PROBES, 1, *like.shape[1:], generator=generator_for(seed))
    v = _signs(uniforms, like).expand(-1, *like.shape)
    total, w = like.new_zeros(len(like)), v
    for k in range(1, TERMS + 1):
        w = push(w)
        total = total - _dot(v, w).mean(0) * ((-1) ** k / k)
    return total


class Roulette(NamedTuple):
    """How many terms each row takes, and its probe; rows in decreasing order of their numbers.

    Args:
        terms: (B,) whole numbers, decreasing; term k is taken with probability CONTINUE^max(k - ALWAYS, 0).
        probes: (1, B, *shape) of +-1.
        order: (B,) which row of the batch each of these is.
    """

    terms: Tensor
    probes: Tensor
    order: Tensor

    @classmethod
    def draw(cls, rows: Rows, like: Tensor) -> "Roulette":
        """From one row of noise for each row of `like` (B, *shape)."""
        noise = rows.uniform(1 + like[0].numel()).to(like)
        extra = noise[:, 0].clamp(min=torch.finfo(like.dtype).tiny).log() / math.log(CONTINUE)
        terms, order = (ALWAYS + extra.floor()).sort(descending=True, stable=True)
        return cls(terms, _signs(noise[order, 1:].reshape(1, *like.shape), like), order)


def unbiased_log_det(push: Push, roulette: Roulette) -> Tensor:
    """(B,): an estimate whose mean over the noise is log det(I + J), and whose gradient's mean is its gradient.

    Args:
        push: w (1, b, *shape) -> J w of the first b rows, in the order of the roulette.
        roulette: the noise.
    """
    terms, v = roulette.terms, roulette.probes
    with torch.no_grad():
        value, mixed, w = torch.zeros_like(terms), v.clone(), v
        for k in range(1, int(terms[0]) + 1):
            left = int((terms >= k).sum())
            w = push(w[:, :left])
            weight = (-1) ** k / CONTINUE ** max(k - ALWAYS, 0)
            value[:left] -= _dot(v[:, :left], w)[0] * (weight / k)
            mixed[:, :left] += w * weight
    if not torch.is_grad_enabled():
        return value
    slope = _dot(v, push(mixed))[0]
    return value + (slope - slope.detach())


def _signs(uniforms: Tensor, like: Tensor) -> Tensor:
    return torch.where(uniforms < 0.5, -1.0, 1.0).to(like)


def _dot(v: Tensor, w: Tensor) -> Tensor:
    """(K, B, *shape) twice -> (K, B)."""
    return (v * w).flatten(2).sum(2)
