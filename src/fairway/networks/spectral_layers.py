"""Layers whose weights have norm 1, as a matrix of an output's weights in each row (Miyato et al. 2018).

    y = W x / s(W) + b,      s(W) = max |W v| / |v|,      W (outputs, inputs) or (outputs, inputs * k * k)

s is found as in `networks.spectral_norm`, which bounds an operator from above; here W is divided by s wherever it is,
so that its scale means nothing and its direction everything. A kernel counts as a matrix, as in the paper: the
convolution with it has a norm between 1 and k. `torch.nn.utils.parametrizations.spectral_norm` divides, in eval mode,
by the norm in the direction that it found last in training, which is that of other weights where averaged ones, or any,
have been put in their place. Here the search goes on in eval mode until it has settled.
Shapes: (B, inputs) -> (B, outputs), (B, inputs, H, W) -> (B, outputs, H, W).
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from fairway.networks.spectral_norm import Bounded


class Spectral(Bounded):
    """Weights as a matrix, over its norm.

    Args:
        shape: of the weights, outputs first.
        bias: whether there is one.
    """

    def __init__(self, shape: tuple[int, ...], bias: bool) -> None:
        inputs = torch.Size(shape[1:]).numel()
        super().__init__(torch.empty(shape), torch.zeros(shape[0]), (inputs,), 1.0)
        if not bias:
            self.register_parameter("bias", None)

    def apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x, weight.flatten(1))

    def apply_adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        return F.linear(y, weight.flatten(1).T)

    def scaled(self) -> Tensor:
        with torch.autocast(self.weight.device.type, enabled=False):  # a norm to two digits is none
            size = self.apply_weight(self.settled(), self.weight).norm()
        return self.weight / size.clamp(min=torch.finfo(size.dtype).tiny)


class SpectralLinear(Spectral):
    """x (B, inputs) -> (B, outputs).

    Args:
        inputs, outputs: widths. bias: whether there is one.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__((outputs, inputs), bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.scaled(), self.bias)


class SpectralConv(Spectral):
    """x (B, inputs, H, W) -> (B, outputs, H, W): stride 1, zeros around the border.

    Args:
        inputs, outputs: channels. kernel: odd width. bias: whether there is one.
    """

    gains: ClassVar[bool] = True  # by low precision, as convolutions do

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, bias: bool = True) -> None:
        super().__init__((outputs, inputs, kernel, kernel), bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.scaled(), self.bias, padding=self.weight.shape[-1] // 2)
