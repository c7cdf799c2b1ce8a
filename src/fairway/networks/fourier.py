"""A perceptron on random waves: for functions of a few variables that change fast.

    phi(u) = [u, cos(2 pi B u), sin(2 pi B u)],     B_ij ~ N(0, scale^2), fixed        (B, D) -> (B, D + F)

A perceptron learns low frequencies first, and the edges of a density last; waves hand them over (Tancik et al. 2020,
Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains, section 4). `scale` is in waves
per unit of u. In many dimensions random waves are all alike to data, and a plain perceptron is better.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.mlp import MLP


class FourierMLP(Configurable, nn.Module):
    """(B, inputs) -> (B, outputs).

    Args:
        inputs, outputs: widths of both ends.
        hidden: widths between the waves and the end.
        features: waves, an even number.
        scale: standard deviation of their frequencies, waves per unit.
        act: name of the activation.

    Raises:
        ValueError: an odd number of features, or a scale that is not positive.

    >>> FourierMLP(2, 1)(torch.zeros(5, 2)).shape
    torch.Size([5, 1])
    """

    role = "network"
    frequencies: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int] = (128, 128),
        features: int = 128,
        scale: float = 0.5,
        act: str = "silu",
    ) -> None:
        super().__init__()
        if features < 2 or features % 2 or scale <= 0:
            raise ValueError(f"expected an even number of features and a positive scale, got {features}, {scale}")
        self.register_buffer("frequencies", 2 * math.pi * scale * torch.randn(inputs, features // 2))
        self.body = MLP(inputs + features, outputs, hidden, act, residual=True)

    def forward(self, u: Tensor) -> Tensor:
        angle = u @ self.frequencies
        out: Tensor = self.body(torch.cat([u, angle.cos(), angle.sin()], 1))
        return out
