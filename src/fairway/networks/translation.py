"""Networks that make an image of an image (Isola et al. 2017, pix2pix; Zhu et al. 2017, CycleGAN).

    skip net     h_1 = K * a;  h_i = norm(K * lrelu(h_{i-1})) while it shrinks;  h = relu(h_n + V z)
                 h <- relu([norm(T * h), h_i]) while it grows;  u = tanh(T * h)
    residual     h = relu(norm(K * a)) while it shrinks;  h = relu(h + V z);  h <- h + norm(K * relu(norm(K * h)));
                 h <- relu(norm(T * h)) while it grows;  u = tanh(K * h)

K of the skip net are convolutions of 4 x 4 pixels and stride 2, T transposed ones; the residual net has 7 x 7 at both
ends and 3 x 3 between them, with reflected borders (Johnson et al. 2016). "norm" is per image and channel (instance
norm), so that no image sees its neighbours. The papers' noise is dropout, also in a draw; a draw here takes its noise
from a seed, so z is a vector, added where the picture is smallest, behind a norm: ahead of one it would be subtracted
again. Shapes: a, u (B, C, H, W) or (B, H, W), z (B, latent).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.conv import ContextBias
from fairway.networks.dcgan import SLOPE

REFLECTED = 4  # pixels a side of the smallest image whose border 7 x 7 convolutions can reflect


def check_sides(sides: Sequence[int], halvings: int, least: int = 1, whole: int = 1) -> None:
    """Whether sides can be halved so often, to so many pixels or more.

    Args:
        sides: of an image, (H, W). halvings: of both.
        least: pixels a side at the end. whole: at the start.

    Raises:
        ValueError: they cannot; says of what they should be multiples.

    >>> check_sides((28, 12), 2)
    """
    step, smallest = 2**halvings, max(least * 2**halvings, whole)
    if any(side % step or side < smallest for side in sides):
        raise ValueError(
            f"expected sides that {halvings} halvings leave whole: multiples of {step}, {smallest} pixels or more; got "
            f"{' x '.join(map(str, sides))}: pad or resize the images, or give fewer entries in hidden"
        )


def as_images(u: Tensor, channels: int, what: str = "images") -> Tensor:
    """(B, H, W) or (B, C, H, W) -> (B, C, H, W).

    Raises:
        ValueError: another number of channels, or no image.
    """
    images = u.unsqueeze(1) if u.ndim == 3 else u
    if images.ndim != 4 or images.shape[1] != channels:
        raise ValueError(f"expected {what} (batch, {channels}, height, width), got {tuple(u.shape)}")
    return images


def instance_norm(channels: int) -> nn.Module:
    """Each channel of each image at mean 0 and variance 1; as groups of one, which leaves channels last in memory."""
    return nn.GroupNorm(channels, channels)


class _Translator(nn.Module):
    """What both generators share: the sides they take, and what leaves them.

    Args:
        inputs: channels that come in. halvings: of the sides. squash: whether the image ends in a tanh.
    """

    least: ClassVar[tuple[int, int]] = (1, 1)  # pixels a side, of the smallest picture inside and of the image

    def __init__(self, inputs: int, halvings: int, squash: bool) -> None:
        super().__init__()
        self.inputs, self.halvings, self.squash = inputs, halvings, squash

    @classmethod
    def check(cls, sides: Sequence[int], halvings: int) -> None:
        """Whether it can make images of these sides (H, W); see `check_sides`."""
        check_sides(sides, halvings, *cls.least)

    def _checked(self, u: Tensor) -> Tensor:
        images = as_images(u, self.inputs)
        self.check(images.shape[2:], self.halvings)
        return images.contiguous(memory_format=torch.channels_last)

    def _squashed(self, h: Tensor) -> Tensor:
        return h.tanh() if self.squash else h


class SkipNet(Configurable, _Translator):
    """The U-Net of pix2pix: u (B, inputs, H, W), z (B, latent) or None -> (B, outputs, H, W).

    Args:
        inputs, outputs: channels of both images.
        latent: entries of z, 0 for none.
        hidden: channels at each size, from the largest, which has half the sides of the image.
        squash: whether the image ends in a tanh.

    Raises:
        ValueError: no size; (when called) other channels, or sides that are no multiples of 2^len(hidden).

    >>> SkipNet(3, 1, hidden=(8, 16))(torch.zeros(5, 3, 8, 12)).shape
    torch.Size([5, 1, 8, 12])
    """

    role: ClassVar[str] = "network"

    def __init__(
        self, inputs: int, outputs: int, latent: int = 0, hidden: Sequence[int] = (64, 128), squash: bool = True
    ) -> None:
        super().__init__(inputs, sizes(hidden), squash)
        pairs = list(pairwise([inputs, *hidden]))
        ends = (0, len(pairs) - 1)  # without norm: the image itself, and a picture that may be one pixel
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1, bias=i in ends) for i, (a, b) in enumerate(pairs))
        self.kept = nn.ModuleList(nn.Identity() if i in ends else instance_norm(b) for i, (_, b) in enumerate(pairs))
        self.noise = ContextBias(latent, hidden[-1])
        wide = [hidden[-1], *(2 * width for width in reversed(hidden[:-1]))]
        narrow = [*reversed(hidden[:-1]), outputs]
        last = len(wide) - 1
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1, bias=i == last) for i, (a, b) in enumerate(zip(wide, narrow, strict=True))
        )
        self.norms = nn.ModuleList(instance_norm(width) for width in narrow[:-1])
        lay_out(self)

    def forward(self, u: Tensor, z: Tensor | None = None) -> Tensor:
        h, kept = self._checked(u), list[Tensor]()
        for shrink, rule in zip(self.shrink, self.kept, strict=True):
            h = rule(shrink(F.leaky_relu(h, SLOPE) if kept else h))
            kept.append(h)
        h = self.noise(kept.pop(), z)
        for grow, rule in zip(self.grow, self.norms, strict=False):
            h = torch.cat([rule(grow(F.relu(h))), kept.pop()], 1)
        return self._squashed(self.grow[-1](F.relu(h)))


class _Residual(nn.Module):
    """h + norm(K * relu(norm(K * h)))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (_reflecting(channels, channels, 3, bias=False) for _ in range(2))
        self.inner, self.outer = instance_norm(channels), instance_norm(channels)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.outer(self.second(F.relu(self.inner(self.first(h)))))
        return out


class ResidualTranslator(Configurable, _Translator):
    """The generator of CycleGAN: u (B, inputs, H, W), z (B, latent) or None -> (B, outputs, H, W).

    Args:
        inputs, outputs: channels of both images.
        latent: entries of z, 0 for none.
        hidden: channels at each size, from the image's own; each next picture has half the sides.
        blocks: residual blocks at the smallest size.
        squash: whether the image ends in a tanh.

    Raises:
        ValueError: no size; (when called) other channels, or sides that are no multiples of 2^(len(hidden) - 1).

    >>> ResidualTranslator(3, 1, hidden=(8, 16))(torch.zeros(5, 3, 8, 12)).shape
    torch.Size([5, 1, 8, 12])
    """

    role: ClassVar[str] = "network"
    least = (2, REFLECTED)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        latent: int = 0,
        hidden: Sequence[int] = (32, 64),
        blocks: int = 3,
        squash: bool = True,
    ) -> None:
        super().__init__(inputs, sizes(hidden) - 1, squash)
        pairs = list(pairwise(hidden))
        self.first = nn.Sequential(_reflecting(inputs, hidden[0], 7, bias=False), instance_norm(hidden[0]))
        self.shrink = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), instance_norm(b)) for a, b in pairs
        )
        self.noise = ContextBias(latent, hidden[-1])
        self.blocks = nn.Sequential(*(_Residual(hidden[-1]) for _ in range(blocks)))
        self.grow = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(b, a, 3, 2, 1, 1, bias=False), instance_norm(a))
            for a, b in reversed(pairs)
        )
        self.last = _reflecting(hidden[0], outputs, 7)
        lay_out(self)

    def forward(self, u: Tensor, z: Tensor | None = None) -> Tensor:
        h = self.first(self._checked(u))
        for shrink in self.shrink:
            h = shrink(F.relu(h))
        h = self.blocks(F.relu(self.noise(h, z)))
        for grow in self.grow:
            h = F.relu(grow(h))
        return self._squashed(self.last(h))


def sizes(hidden: Sequence[int]) -> int:
    """How many there are.

    Raises:
        ValueError: none.
    """
    if not hidden:
        raise ValueError("expected channels of one size or more in hidden, got none")
    return len(hidden)


def lay_out(network: nn.Module) -> None:
    """Channels last, as training wants them: of one channel, the weights' layout decides by which kernel images go."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _reflecting(inputs: int, outputs: int, size: int, bias: bool = True) -> nn.Conv2d:
    """A convolution of odd size that keeps the sides and sees the picture reflected at its border."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="reflect", bias=bias)
