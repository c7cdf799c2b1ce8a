"""Layers of equalised learning rate (Karras et al. 2018, section 4.1).

    y = c W x + b,      W_ij ~ N(0, 1),  b = 0,      c = gain / sqrt(inputs of one output)

What He's initialisation puts into the weights stands outside them as a constant c. At the start nothing changes: y has
the variance it would have had. But a step of Adam is as large as its learning rate whatever the gradient's scale, so
that it changes weights of N(0, c^2) by a share lr / c, large where fan-in is large, and these by lr, everywhere.
The gain is that of what follows: 2^1/2 before a (leaky) relu, 1 before nothing.
Shapes: linear (B, inputs) -> (B, outputs), convolution (B, inputs, H, W) -> (B, outputs, H, W).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HE = 2**0.5  # gain before a relu


class Equalised(nn.Module):
    """Weights N(0, 1) and the constant that scales them.

    Args:
        shape: of the weights, outputs first.
        bias: whether there is one.
        gain: standard deviation of an output whose inputs have mean square 1.
    """

    def __init__(self, shape: tuple[int, ...], bias: bool, gain: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
        self.scale = gain / self.weight[0].numel() ** 0.5


class EqualisedLinear(Equalised):
    """x (B, inputs) -> (B, outputs).

    Args:
        inputs, outputs: widths. bias, gain: see `Equalised`.

    >>> EqualisedLinear(400, 3).scale == 2**0.5 / 20
    True
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True, gain: float = HE) -> None:
        super().__init__((outputs, inputs), bias, gain)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


class EqualisedConv(Equalised):
    """x (B, inputs, H, W) -> (B, outputs, H, W): stride 1, zeros around the border.

    Args:
        inputs, outputs: channels. kernel: odd width. bias, gain: see `Equalised`.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, bias: bool = True, gain: float = HE) -> None:
        super().__init__((outputs, inputs, kernel, kernel), bias, gain)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.weight.shape[-1] // 2)
