"""Networks that contract: |g(u) - g(v)| <= lipschitz |u - v|, for residual flows (Chen et al. 2019).

    h_1 = act(A_1 u + b_1 + C c),  h_l = act(A_l h_{l-1} + b_l),  g = A_L h_{L-1} + b_L,     |A_l| <= lipschitz^(1/L)
    act(x) = [swish(x), swish(-x)] / 1.105,   swish(x) = x sigmoid(beta x)

is smooth and of norm 1, and loses less of a gradient than one half of it (concatenated LipSwish, Perugachi-Diaz et al.
2021). The context c comes in through a map C of any norm: the bound is about u alone. The derivative is known in closed
form, so directions are pushed through it by hand, many at a time, with one evaluation of g for all of them:

    J w = A_L D_{L-1} A_{L-1} ... D_1 A_1 w,     D_l = act'(.)

Vectors (B, d) pass through matrices, images (B, C, H, W) through convolutions of widths 3, 1, ..., 1, 3. Orthogonal
maps at the start keep a unit's range narrow, about (d / hidden)^1/2: biases and 1 / beta start at that width, or the
network would start, and stay for long, a linear map.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.numerics import softplus_inverse
from fairway.networks.spectral_norm import Bounded, BoundedConv, BoundedLinear

Push = Callable[[Tensor], Tensor]
STEEPEST = 1.105  # the slopes of both halves as one vector, for every beta (1.1043)


class ConcatenatedLipSwish(nn.Module):
    """x (B, C, ...) -> (B, 2C, ...): [swish(x), swish(-x)] / 1.105 with a learned beta > 0.

    Args:
        sharpness: beta at the start, 1 / beta is the width of the bend.
    """

    def __init__(self, sharpness: float = 1.0) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor(softplus_inverse(sharpness)))

    def forward(self, x: Tensor) -> Tensor:
        positive = x * torch.sigmoid(F.softplus(self.raw) * x)
        return torch.cat([positive, positive - x], 1) / STEEPEST  # swish(-x) = swish(x) - x

    def with_slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The value and the derivative of both halves, entrywise."""
        scaled = F.softplus(self.raw) * x
        gate = torch.sigmoid(scaled)
        positive, slope = x * gate, gate * (1 + scaled * (1 - gate))
        return torch.cat([positive, positive - x], 1) / STEEPEST, torch.cat([slope, slope - 1], 1) / STEEPEST


class LipschitzNetwork(nn.Module):
    """g: (B, *shape) -> (B, *shape) with Lipschitz constant below `lipschitz` in its input.

    Args:
        shape: (d,) or (C, H, W).
        hidden: widths, or channels, between.
        context_dims: width of the context, 0 for none.
        lipschitz: below 1 where x + g(x) must be invertible.

    Raises:
        ValueError: no hidden width, or a lipschitz outside (0, 1).
    """

    def __init__(
        self, shape: tuple[int, ...], hidden: Sequence[int], context_dims: int = 0, lipschitz: float = 0.97
    ) -> None:
        super().__init__()
        if not hidden or not 0 < lipschitz < 1:
            raise ValueError(f"expected at least one hidden width and 0 < lipschitz < 1, got {hidden}, {lipschitz}")
        widths = [shape[0], *hidden, shape[0]]
        last, bound = len(widths) - 2, lipschitz ** (1 / (len(widths) - 1))
        self.maps = nn.ModuleList(
            _bounded(a if i == 0 else 2 * a, b, shape[1:], 3 if i in (0, last) else 1, bound)
            for i, (a, b) in enumerate(pairwise(widths))
        )
        spread = math.sqrt(min(shape[0] / max(hidden), 1.0))  # of a hidden unit over rows of unit variance
        for linear in self.maps:
            nn.init.normal_(linear.bias, 0.0, spread)  # type: ignore[arg-type]
        self.activations = nn.ModuleList(ConcatenatedLipSwish(2 / spread) for _ in hidden)
        self.context = nn.Linear(context_dims, hidden[0], bias=False) if context_dims else None

    def frozen(self, context: Tensor | None = None) -> "Frozen":
        """g at the present weights and context rows (B, context_dims), its norms found once."""
        biases = [_per_channel(linear.bias.unsqueeze(0), linear) for linear in self._maps]
        if self.context is not None and context is not None:
            biases[0] = biases[0] + _per_channel(self.context(context), self._maps[0])
        return Frozen(self._maps, list(self.activations), [m.scaled() for m in self._maps], biases)  # type: ignore[arg-type]

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self.frozen(context)(u)

    @property
    def _maps(self) -> list[Bounded]:
        return list(self.maps)  # type: ignore[arg-type]


class Frozen:
    """A network with its norms found and its context in place: what many evaluations in a row use.

    Args:
        maps, activations: of the network.
        weights: scaled, one for each map.
        biases: with the context in the first.
    """

    def __init__(
        self, maps: list[Bounded], activations: list[ConcatenatedLipSwish], weights: list[Tensor], biases: list[Tensor]
    ) -> None:
        self.maps, self.activations, self.weights, self.biases = maps, activations, weights, biases

    def __call__(self, u: Tensor) -> Tensor:
        """g(u), (B, *shape)."""
        h = self._affine(0, u)
        for i, act in enumerate(self.activations):
            h = self._affine(i + 1, act(h))
        return h

    def with_push(self, u: Tensor) -> tuple[Tensor, Push]:
        """g(u), and w (K, b, *shape) -> J w: K directions of each of the first b rows through the derivative at u."""
        h, slopes = self._affine(0, u), []
        for i, act in enumerate(self.activations):
            h, slope = act.with_slope(h)
            slopes.append(slope)
            h = self._affine(i + 1, h)

        def push(w: Tensor) -> Tensor:
            for i in range(len(self.maps)):
                w = self._linear(i, w)
                if i < len(slopes):
                    w = torch.cat([w, w], 2) * slopes[i][: w.shape[1]]
            return w

        return h, push

    def _affine(self, i: int, x: Tensor) -> Tensor:
        return self.maps[i].apply_weight(x, self.weights[i]) + self.biases[i]

    def _linear(self, i: int, w: Tensor) -> Tensor:
        return self.maps[i].apply_weight(w.flatten(0, 1), self.weights[i]).unflatten(0, w.shape[:2])


def _bounded(inputs: int, outputs: int, size: tuple[int, ...], kernel: int, bound: float) -> Bounded:
    if not size:
        return BoundedLinear(inputs, outputs, bound)
    return BoundedConv(inputs, outputs, (size[0], size[1]), kernel, bound)


def _per_channel(bias: Tensor, linear: Bounded) -> Tensor:
    """(B, channels) -> broadcastable over the outputs of a map."""
    return bias.reshape(*bias.shape, *([1] * (linear.vector.ndim - 2)))
