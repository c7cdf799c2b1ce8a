"""Triangular linear maps with a positive diagonal: masked matrices and masked convolutions (Song, Meng and Ermon 2019).

    y_{i,c}(p) = sum over j and over what comes before (c, p)  W x_{j,c'}(p')  +  sum_j  d_{ijc} x_{j,c}(p),    d > 0

Entries are ordered by position p (row by row), then by channel c; a vector has one position and its entries are the
channels. Every entry has `inputs` copies j on one side and `outputs` copies i on the other: the hidden units of a
network all of whose maps are triangular in the entries. A kernel is masked as in a PixelCNN: nothing after its centre,
and at its centre only channels before c, besides the diagonal d.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.numerics import softplus_inverse

KERNEL = 3


class MaskedMap(nn.Module):
    """x (B, inputs C, *size) -> (B, outputs C, *size), the channel c of copy j at j C + c.

    Args:
        channels: C.
        image: convolutions, size (H, W); else matrices, size ().
        inputs, outputs: copies of every channel.
        gain: size of an output at the start, for inputs of size 1.
    """

    mask: Tensor

    def __init__(self, channels: int, image: bool, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        mask = _mask(channels, image)
        self.image, self.channels = image, channels
        self.register_buffer("mask", mask, persistent=False)
        spread = gain / math.sqrt(inputs * max(float(mask.sum()) / channels, 1.0))
        self.weight = nn.Parameter(spread * torch.randn(outputs, channels, inputs, channels, *mask.shape[4:]))
        self.raw_diagonal = nn.Parameter(torch.full((outputs, inputs, channels), softplus_inverse(gain / inputs)))
        self.bias = nn.Parameter(gain * torch.randn(outputs * channels))

    @property
    def diagonal(self) -> Tensor:
        """d (outputs, inputs, C)."""
        return F.softplus(self.raw_diagonal)

    @property
    def before(self) -> Tensor:
        """The kernel without its diagonal."""
        return (self.weight * self.mask).flatten(2, 3).flatten(0, 1)

    @property
    def kernel(self) -> Tensor:
        """The whole kernel (outputs C, inputs C, *taps)."""
        eye = torch.eye(self.channels, dtype=self.weight.dtype, device=self.weight.device)
        centre = self.diagonal.transpose(1, 2).unsqueeze(3) * eye.unsqueeze(1)  # (outputs, C, inputs, C)
        if self.image:
            side = KERNEL // 2
            centre = F.pad(centre[..., None, None], (side, side, side, side))
        return (self.weight * self.mask + centre).flatten(2, 3).flatten(0, 1)

    def through(self, x: Tensor, kernel: Tensor) -> Tensor:
        """Apply a kernel, without bias."""
        return F.conv2d(x, kernel, padding=KERNEL // 2) if self.image else F.linear(x, kernel)


def _mask(channels: int, image: bool) -> Tensor:
    """(1, C, 1, C) or (1, C, 1, C, taps, taps): 1 where the input comes strictly before the output."""
    before = torch.ones(channels, channels).tril(-1).reshape(1, channels, 1, channels)
    if not image:
        return before
    mask, half = torch.zeros(1, channels, 1, channels, KERNEL, KERNEL), KERNEL // 2
    mask[..., :half, :] = 1
    mask[..., half, :half] = 1
    mask[..., half, half] = before
    return mask
