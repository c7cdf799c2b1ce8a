"""Features of a scalar time: sines and cosines at several frequencies.

    phi(t) = [cos(2 pi f_k t), sin(2 pi f_k t)],   f_k geometric from `slowest` to `fastest`        (B,) -> (B, F)

A perceptron learns low frequencies first; sines hand it the higher ones (Tancik et al. 2020, Fourier Features Let
Networks Learn High Frequency Functions in Low Dimensional Domains). Times lie in [0, 1]; the slowest wave is no more
than a quarter turn, so that all times are told apart.
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
