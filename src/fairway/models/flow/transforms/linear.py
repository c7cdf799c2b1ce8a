"""Learned invertible matrices by their PLU factors, and the linear map of a vector.

    W = P L (U + diag(s)),   L unit lower triangular, U strictly upper, P a fixed permutation
    log|det W| = sum log|s|                                    (Kingma and Dhariwal 2018, Glow, section 3.2)
    z = W u + b,   u = W^-1 (z - b) by two triangular solves   (O(D^2) a row, against O(D^3) for a determinant)

The signs of s are fixed at the start and log|s| is learned, softly bounded: W is never singular. A random rotation is
the start, so that the map mixes all entries before it has learned anything.
"""

import torch
from torch import Tensor, nn

from fairway.core.random import generator_for
from fairway.models.flow.transforms.transform import Transform
from fairway.models.flow.transforms.univariate import LARGEST_LOG_SCALE, log_scale, raw_log_scale


class PLU(nn.Module):
    """An invertible matrix (dims, dims).

    Args:
        dims: rows and columns.
        seed: of the rotation it starts as; None starts at the identity.
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, dims: int, seed: int | None = None) -> None:
        super().__init__()
        p, lower, upper = torch.linalg.lu(_rotation(dims, seed))
        diagonal = upper.diagonal()
        self.register_buffer("permutation", p.argmax(0))  # column j of P holds its one in this row
        self.register_buffer("sign", diagonal.sign().to(torch.get_default_dtype()))
        self.lower = nn.Parameter(lower.tril(-1).to(torch.get_default_dtype()))
        self.upper = nn.Parameter(upper.triu(1).to(torch.get_default_dtype()))
        bound = 0.99 * LARGEST_LOG_SCALE
        raw = raw_log_scale(diagonal.abs().log().clamp(-bound, bound))
        self.raw_scale = nn.Parameter(raw.to(torch.get_default_dtype()))

    @property
    def log_scale(self) -> Tensor:
        """(dims,): log|s|; their sum is log|det W|."""
        return log_scale(self.raw_scale)

    @property
    def factors(self) -> tuple[Tensor, Tensor]:
        """L and U + diag(s), both (dims, dims)."""
        eye = torch.eye(len(self.sign), dtype=self.lower.dtype, device=self.lower.device)
        scale = torch.diag(self.sign.to(self.lower.dtype) * self.log_scale.exp())
        return self.lower.tril(-1) + eye, self.upper.triu(1) + scale

    def weight(self) -> Tensor:
        """W (dims, dims)."""
        lower, upper = self.factors
        return (lower @ upper)[self._inverse]

    @property
    def _inverse(self) -> Tensor:
        return torch.argsort(self.permutation)

    def solve(self, y: Tensor) -> Tensor:
        """W^-1 y for columns y (dims, n)."""
        lower, upper = self.factors
        inner = torch.linalg.solve_triangular(lower, y[self.permutation], upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, inner, upper=True)


class Linear(Transform):
    """z = W u + b on vectors (B, D): a learned permutation and rotation.

    Args:
        dims: D.
        seed: of the rotation it starts as; None starts at the identity.
    """

    def __init__(self, dims: int, seed: int | None = None) -> None:
        super().__init__()
        self.matrix, self.bias = PLU(dims, seed), nn.Parameter(torch.zeros(dims))

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z = torch.addmm(self.bias.unsqueeze(1), self.matrix.weight(), u.T)
        return z.T, self.matrix.log_scale.sum().expand(len(u))

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.matrix.solve(z.T - self.bias.unsqueeze(1)).T, -self.matrix.log_scale.sum().expand(len(z))


def _rotation(dims: int, seed: int | None) -> Tensor:
    """A random orthogonal matrix in float64, or the identity."""
    if seed is None:
        return torch.eye(dims, dtype=torch.float64)
    noise = torch.randn(dims, dims, generator=generator_for(seed), dtype=torch.float64)
    return torch.linalg.qr(noise).Q
