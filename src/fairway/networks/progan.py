"""A generator and a critic that grow together, from the smallest picture on (Karras et al. 2018).

    generator    z / rms(z)  ->  (C_0, s, s)  ->  [enlarge, conv, conv] ...  ->  1 x 1 convolution to a picture
    critic       1 x 1 convolution of the picture  ->  [conv, conv, average] ...  ->  deviation of rows, conv, dense

Every block of every size is there from the start; `growth` says how many run. A picture of level l leaves by head l of
the generator and enters by head l of the critic; while level l is faded in, the generator's picture and the critic's
features are mixed with those of level l - 1. "conv" is 3 x 3 of equalised learning rate with a leaky relu, in the
generator with the channels of each pixel brought to mean square 1. The critic's features meet the context by projection
(Miyato and Koyama 2018) where the paper has an auxiliary classifier.
Shapes: z (B, latent), c (B, K) or none, u (B, C, H, W) or (B, H, W) of full size at every level, d (B,).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.dcgan import SLOPE, PixelRMSNorm, picture
from fairway.networks.equalised import EqualisedConv, EqualisedLinear
from fairway.networks.growth import Growth, averaged, enlarged
from fairway.networks.joined import joined
from fairway.networks.minibatch import MinibatchStandardDeviation


class ProGANGenerator(Configurable, nn.Module):
    """z (B, latent), context (B, K) or None -> (B, *shape).

    Args:
        shape: of an image, (C, H, W) or (H, W).
        latent: entries of z. context: entries of the context, 0 for none.
        hidden: channels at each size, from the smallest; each next size has twice the pixels a side.
        grow: steps of each size, see `Growth`.

    Raises:
        ValueError: sides that these doublings cannot make.

    >>> ProGANGenerator((28, 28), 16, hidden=(8, 8, 8))(torch.zeros(2, 16)).shape
    torch.Size([2, 28, 28])
    """

    role: ClassVar[str] = "network"

    def __init__(
        self,
        shape: Sequence[int | None],
        latent: int,
        context: int = 0,
        hidden: Sequence[int] = (128, 64),
        grow: int = 600,
    ) -> None:
        super().__init__()
        channels, *sides = picture(shape, len(hidden) - 1)
        self.shape, self.growth = tuple(int(side or 0) for side in shape), Growth(len(hidden) - 1, grow)
        self.scale_latent, features = PixelRMSNorm(), hidden[0] * sides[0] * sides[1]
        first = EqualisedLinear(latent + context, features), nn.Unflatten(1, (hidden[0], *sides))
        self.first = nn.Sequential(*first, *_normed(), EqualisedConv(hidden[0], hidden[0]), *_normed())
        self.blocks = nn.ModuleList(_upwards(a, b) for a, b in pairwise(hidden))
        self.heads = nn.ModuleList(EqualisedConv(width, channels, 1, gain=1.0) for width in hidden)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        level, fade = self.growth.now
        h = before = self.first(joined(self.scale_latent(z), context))
        for block in self.blocks[:level]:
            h, before = block(h), h
        drawn: Tensor = self.heads[level](h)
        if fade < 1 and level:
            drawn = torch.lerp(enlarged(self.heads[level - 1](before), 2), drawn, fade)
        return enlarged(drawn, 2 ** (self.growth.last - level)).reshape(len(z), *self.shape)


class ProGANCritic(Configurable, nn.Module):
    """u (B, *shape), context (B, K) or None -> (B,); rows see the deviation in their group of the batch.

    Args:
        shape: of an image, (C, H, W) or (H, W).
        context: entries of the context, 0 for none.
        hidden: channels at each size, from the largest.

    Raises:
        ValueError: sides that cannot be halved so often.

    >>> ProGANCritic((28, 28), hidden=(8, 8, 8))(torch.zeros(2, 28, 28)).shape
    torch.Size([2])
    """

    role: ClassVar[str] = "network"

    def __init__(self, shape: Sequence[int | None], context: int = 0, hidden: Sequence[int] = (64, 128)) -> None:
        super().__init__()
        channels, *sides = picture(shape, len(hidden) - 1)
        self.channels, self.growth = channels, Growth(len(hidden) - 1)
        widths, act = hidden[::-1], nn.LeakyReLU(SLOPE)
        self.heads = nn.ModuleList(nn.Sequential(EqualisedConv(channels, width, 1), act) for width in widths)
        self.blocks = nn.ModuleList(_downwards(b, a) for a, b in pairwise(widths))
        least, features = widths[0], widths[0] * sides[0] * sides[1]
        told = MinibatchStandardDeviation(), EqualisedConv(least + 1, least), act
        self.end = nn.Sequential(*told, nn.Flatten(), EqualisedLinear(features, least), act)
        self.last = EqualisedLinear(least, 1, gain=1.0)
        self.project = EqualisedLinear(context, least, bias=False, gain=1.0) if context else None

    def features(self, u: Tensor) -> Tensor:
        """(B, features): what the critic made of a picture at the present level."""
        level, fade = self.growth.now
        images = averaged(u.reshape(len(u), self.channels, *u.shape[-2:]), 2 ** (self.growth.last - level))
        h = self.heads[level](images)
        for step in range(level, 0, -1):
            h = self.blocks[step - 1](h)
            if step == level and fade < 1:
                h = torch.lerp(self.heads[level - 1](averaged(images, 2)), h, fade)
        out: Tensor = self.end(h)
        return out

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.features(u)
        out: Tensor = self.last(h).squeeze(1)
        if self.project is None or context is None:
            return out
        return out + (self.project(joined(context)) * h).sum(1) / h.shape[1] ** 0.5


def _normed() -> tuple[nn.Module, nn.Module]:
    return nn.LeakyReLU(SLOPE), PixelRMSNorm()


def _upwards(inputs: int, outputs: int) -> nn.Module:
    """(B, inputs, H, W) -> (B, outputs, 2 H, 2 W)."""
    convolutions = EqualisedConv(inputs, outputs), *_normed(), EqualisedConv(outputs, outputs), *_normed()
    return nn.Sequential(nn.Upsample(scale_factor=2), *convolutions)


def _downwards(inputs: int, outputs: int) -> nn.Module:
    """(B, inputs, 2 H, 2 W) -> (B, outputs, H, W)."""
    act = nn.LeakyReLU(SLOPE)
    return nn.Sequential(EqualisedConv(inputs, inputs), act, EqualisedConv(inputs, outputs), act, nn.AvgPool2d(2))
