"""A residual generator and critic of spectral norm 1, told a class (Brock, Donahue and Simonyan 2019), small.

    generator    h = W z as (C_1, s, s);   h <- up(A h) + conv(a(norm(conv(up a(norm(h | e))) | e))) ...;   tanh(conv)
    critic       h <- pool(A h + conv(a(conv(a(h))))) ...;   h <- h + conv(a(conv(a(h))));
                 f = sum over pixels of a(h);   d = w . f + b + <V c, f>

a is relu, A is 1 x 1, conv 3 x 3. norm(h | e) = (1 + G e) (h - mean) / deviation + B e over the batch, class by class:
one embedding e = E c of the context is shared by all layers (section 3 of the paper), and d meets the context by
projection (Miyato and Koyama 2018). Without a context the norm is plain. Left out of the paper's network, which
is for pictures of 128 pixels and more: attention between pixels, and a part of z for every block.
Shapes: z (B, latent), c (B, K) or none, e (B, E), u (B, C, H, W) or (B, H, W), d (B,).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.dcgan import picture
from fairway.networks.growth import averaged, enlarged
from fairway.networks.joined import joined
from fairway.networks.spectral_layers import SpectralConv, SpectralLinear

EMBEDDING = 32  # entries of e


class ConditionalBatchNorm(nn.Module):
    """h (B, C, H, W), e (B, E) or None -> (B, C, H, W): normed over the batch, with a gain and a bias of each e.

    Args:
        channels: C. embedding: entries of e; 0 for a gain and a bias of each channel.
    """

    def __init__(self, channels: int, embedding: int = 0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=not embedding)
        self.gain = SpectralLinear(embedding, channels, bias=False) if embedding else None
        self.bias = SpectralLinear(embedding, channels, bias=False) if embedding else None

    def forward(self, h: Tensor, e: Tensor | None = None) -> Tensor:
        normed: Tensor = self.norm(h)
        if self.gain is None or self.bias is None:
            return normed
        return normed * (1 + self.gain(e))[..., None, None] + self.bias(e)[..., None, None]


class Upwards(nn.Module):
    """h (B, inputs, H, W), e -> (B, outputs, 2 H, 2 W). No biases: the norms that follow would take them out."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ConditionalBatchNorm(width, embedding) for width in (inputs, outputs))
        self.first, self.second = SpectralConv(inputs, outputs, bias=False), SpectralConv(outputs, outputs, bias=False)
        self.skip = SpectralConv(inputs, outputs, 1, bias=False)

    def forward(self, h: Tensor, e: Tensor | None) -> Tensor:
        inner = self.first(enlarged(F.relu(self.norms[0](h, e)), 2))
        out: Tensor = enlarged(self.skip(h), 2) + self.second(F.relu(self.norms[1](inner, e)))
        return out


class Downwards(nn.Module):
    """h (B, inputs, 2 H, 2 W) -> (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, picture: bool) -> None:
        super().__init__()
        self.picture = picture  # pixels are not cut off at 0
        self.first, self.second = SpectralConv(inputs, outputs), SpectralConv(outputs, outputs)
        self.skip = SpectralConv(inputs, outputs, 1)

    def forward(self, h: Tensor) -> Tensor:
        inner = self.second(F.relu(self.first(h if self.picture else F.relu(h))))
        return self.skip(averaged(h, 2)) + averaged(inner, 2)  # a 1 x 1 convolution may as well see the average


class Level(nn.Module):
    """h (B, channels, H, W) -> the same shape. On the smallest picture: without it the critic sees parts, not which of
    them go together."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = SpectralConv(channels, channels), SpectralConv(channels, channels)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.second(F.relu(self.first(F.relu(h))))
        return out


class BigGANGenerator(Configurable, nn.Module):
    """z (B, latent), context (B, K) or None -> (B, *shape).

    Args:
        shape: of an image, (C, H, W) or (H, W).
        latent: entries of z. context: entries of the context, 0 for none.
        hidden: channels at each size, from the smallest; each next picture has twice the pixels a side, and the image
            twice those of the last.
        squash: whether the image ends in a tanh.

    Raises:
        ValueError: sides that these doublings cannot make.

    >>> import torch
    >>> BigGANGenerator((3, 32, 32), 16, hidden=(8, 8, 4))(torch.zeros(2, 16)).shape
    torch.Size([2, 3, 32, 32])
    """

    role: ClassVar[str] = "network"

    def __init__(
        self,
        shape: Sequence[int | None],
        latent: int,
        context: int = 0,
        hidden: Sequence[int] = (128, 64),
        squash: bool = True,
    ) -> None:
        super().__init__()
        channels, *sides = picture(shape, len(hidden))
        self.shape, self.squash, embedding = tuple(shape), squash, EMBEDDING if context else 0
        self.embed = nn.Linear(context, embedding, bias=False) if context else None
        if self.embed is not None:
            nn.init.normal_(self.embed.weight)
        features = hidden[0] * sides[0] * sides[1]
        self.first = nn.Sequential(SpectralLinear(latent, features), nn.Unflatten(1, (hidden[0], *sides)))
        self.blocks = nn.ModuleList(Upwards(a, b, embedding) for a, b in pairwise([*hidden, hidden[-1]]))
        self.norm, self.last = ConditionalBatchNorm(hidden[-1]), SpectralConv(hidden[-1], channels)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        e = None if self.embed is None or context is None else self.embed(joined(context))
        h = self.first(z).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            h = block(h, e)
        h = self.last(F.relu(self.norm(h)))
        out: Tensor = (h.tanh() if self.squash else h).reshape(len(z), *self.shape)
        return out


class BigGANCritic(Configurable, nn.Module):
    """u (B, *shape), context (B, K) or None -> (B,).

    Args:
        shape: of an image, (C, H, W) or (H, W).
        context: entries of the context, 0 for none.
        hidden: channels at each size, from the largest; each has half the pixels a side of the one before it.

    Raises:
        ValueError: sides that cannot be halved so often.

    >>> import torch
    >>> BigGANCritic((28, 28), hidden=(8, 8))(torch.zeros(2, 28, 28)).shape
    torch.Size([2])
    """

    role: ClassVar[str] = "network"

    def __init__(self, shape: Sequence[int | None], context: int = 0, hidden: Sequence[int] = (64, 128)) -> None:
        super().__init__()
        self.channels = picture(shape, len(hidden))[0]
        pairs = enumerate(pairwise([self.channels, *hidden]))
        downwards = [Downwards(a, b, picture=i == 0) for i, (a, b) in pairs]
        self.blocks = nn.Sequential(*downwards, Level(hidden[-1]))
        self.last = SpectralLinear(hidden[-1], 1)
        self.project = SpectralLinear(context, hidden[-1], bias=False) if context else None

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        pixels = u.reshape(len(u), self.channels, *u.shape[-2:]).contiguous(memory_format=torch.channels_last)
        features = F.relu(self.blocks(pixels)).sum((2, 3))
        out: Tensor = self.last(features).squeeze(1)
        if self.project is None or context is None:
            return out
        return out + (self.project(joined(context)) * features).sum(1)
