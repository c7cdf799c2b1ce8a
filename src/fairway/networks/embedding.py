"""Features of a scalar time and of low-dimensional points: sines and cosines at several frequencies.

    time      phi(t) = [cos(2 pi f_k t), sin(2 pi f_k t)],  f_k geometric from `slowest` to `fastest`   (B,) -> (B, F)
    points    phi(u) = [u, cos(2 pi W u), sin(2 pi W u)],   W_kd ~ N(0, scale^2), fixed             (B, D) -> (B, D + F)

A perceptron learns low frequencies first; sines hand it the higher ones (Tancik et al. 2020, Fourier Features Let
Networks Learn High Frequency Functions in Low Dimensional Domains). Times lie in [0, 1], points have scale 1.
"""

import math

import torch
from torch import Tensor, nn


class TimeFeatures(nn.Module):
    """t (B,) in [0, 1] -> (B, features).

    Args:
        features: even number of outputs.
        slowest, fastest: frequencies in periods per unit of time.
    """

    frequencies: Tensor

    def __init__(self, features: int = 32, slowest: float = 0.25, fastest: float = 16.0) -> None:
        super().__init__()
        if features < 2 or features % 2:
            raise ValueError(f"expected an even number of time features, got {features}")
        exponents = torch.linspace(math.log(slowest), math.log(fastest), features // 2)
        self.register_buffer("frequencies", 2 * math.pi * exponents.exp(), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        angle = t.unsqueeze(-1) * self.frequencies
        return torch.cat([angle.cos(), angle.sin()], -1)


class FourierFeatures(nn.Module):
    """u (B, D) -> (B, D + features): the points themselves and fixed random waves of them.

    Args:
        inputs: D.
        features: even number of waves.
        scale: standard deviation of their frequencies; larger resolves finer detail.
    """

    frequencies: Tensor

    def __init__(self, inputs: int, features: int = 64, scale: float = 0.5) -> None:
        super().__init__()
        if features < 2 or features % 2:
            raise ValueError(f"expected an even number of Fourier features, got {features}")
        self.outputs = inputs + features
        self.register_buffer("frequencies", 2 * math.pi * scale * torch.randn(inputs, features // 2))

    def forward(self, u: Tensor) -> Tensor:
        angle = u @ self.frequencies
        return torch.cat([u, angle.cos(), angle.sin()], -1)
