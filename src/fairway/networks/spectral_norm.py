"""Linear maps of bounded norm (Miyato et al. 2018, Spectral normalization; Gouk et al. 2021).

    A' = A min(1, bound / s(A)),     s(A) = max |A v| / |v|,     so that |A' x - A' y| <= bound |x - y|

s is found by power iteration on the operator itself: v <- A^T A v / |A^T A v|, whose |A v| grows to s from below. For a
convolution A is the convolution with its padding, not its kernel reshaped to a matrix, whose norm says little about it.
The vector v is a buffer: each use in training moves it on by one iteration, in eval mode it is left as it is and the
search goes on from it until |A v| has settled. So, whatever happened to the weights since (averaging, loading), a model
that is asked something is within its bound.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SETTLED = 1e-4  # relative growth of |A v| in one iteration
ITERATIONS = 200  # at most: the worst of spectra still lacks a fraction log(n) / (4 ITERATIONS), about 1 %


class Bounded(nn.Module, ABC):
    """A linear map A' of norm at most `bound`, and a bias that its user adds.

    Args:
        weight: of A, as initialised.
        bias: one number per output channel, as initialised.
        shape: (*inputs), of one observation.
        bound: largest norm.
    """

    vector: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, shape: tuple[int, ...], bound: float) -> None:
        super().__init__()
        self.weight, self.bias, self.bound = nn.Parameter(nn.init.orthogonal_(weight)), nn.Parameter(bias), bound
        self.register_buffer("vector", F.normalize(torch.randn(1, *shape).flatten(1)).reshape(1, *shape))
        with torch.no_grad():
            self.vector.copy_(self._search())

    @abstractmethod
    def apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        """A x for rows x (B, *inputs)."""

    @abstractmethod
    def apply_adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        """A^T y for rows y (B, *outputs)."""

    @torch.no_grad()
    def settled(self) -> Tensor:
        """v (1, *inputs): one iteration on from the buffer and kept there (training), or until |A v| has settled."""
        if self.training:
            self.vector.copy_(self._moved(self.vector))
            return self.vector.clone()
        return self._search()

    def _search(self) -> Tensor:
        v, last = self.vector, 0.0
        for _ in range(ITERATIONS):
            size = float(self.apply_weight(v, self.weight).norm())
            if size <= last * (1 + SETTLED):  # also where A is 0
                break
            v, last = self._moved(v), size
        return v

    def _moved(self, v: Tensor) -> Tensor:
        """One iteration."""
        v = self.apply_adjoint(self.apply_weight(v, self.weight), self.weight)
        return v / v.norm().clamp(min=torch.finfo(v.dtype).tiny)

    def scaled(self) -> Tensor:
        """The weight of A'; carries the gradient, v held fixed (s is at a maximum in v)."""
        size = self.apply_weight(self.settled(), self.weight).norm()
        return self.weight * (self.bound / size.clamp(min=self.bound))


class BoundedLinear(Bounded):
    """x (B, inputs) -> (B, outputs)."""

    def __init__(self, inputs: int, outputs: int, bound: float) -> None:
        fresh = nn.Linear(inputs, outputs)
        super().__init__(fresh.weight.detach(), fresh.bias.detach(), (inputs,), bound)

    def apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x, weight)

    def apply_adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        return F.linear(y, weight.T)


class BoundedConv(Bounded):
    """x (B, inputs, H, W) -> (B, outputs, H, W): stride 1, zeros around the border.

    Args:
        inputs, outputs: channels.
        size: (H, W), since the norm depends on it.
        kernel: odd width.
        bound: largest norm.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], kernel: int, bound: float) -> None:
        fresh: Any = nn.Conv2d(inputs, outputs, kernel)
        super().__init__(fresh.weight.detach(), fresh.bias.detach(), (inputs, *size), bound)

    def apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2)

    def apply_adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        return F.conv_transpose2d(y, weight, padding=weight.shape[-1] // 2)
