"""Convolutions that make an image from a vector, and judge one: DCGAN's pair (Radford, Metz and Chintala 2016).

    generator    h = act(norm(W [z, c])) as (C_1, s, s);   h <- act(norm(T * h)) while it grows;   u = tanh(T * h)
    critic       h = act(K * u);   h <- act(norm(K * h)) while it shrinks;   d = w . h + b + <V c, h>

T are transposed convolutions of 4 x 4 pixels and stride 2, K convolutions of the same kind, so that each doubles or
halves the sides; "act" is relu in the generator and leaky relu of slope 0.2 in the critic. A transposed convolution is
the adjoint of a convolution: zeros between the pixels (zero-dilution), padding with k - 1 - p zeros, and a convolution
with the kernel turned by 180 degrees. The context c enters the critic by projection (Miyato and Koyama 2018): an inner
product with what the critic made of the image.

`norm` is "batch" (the paper), "pixel" (the channels of each pixel to mean square 1, Karras et al. 2018), or "none".
A critic with batch norm sees real and fake rows apart, and cannot be differentiated row by row: no slope penalty there.
Shapes: z (B, latent), c (B, K) or none, u (B, C, H, W) or (B, H, W), d (B,).
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.core.event import Event
from fairway.networks.joined import joined

SLOPE = 0.2  # of the leaky relu
LEAST = 4  # pixels a side, of the smallest picture inside


class PixelRMSNorm(nn.Module):
    """(B, C, H, W): the channels of every pixel divided by their root mean square (Karras et al. 2018, eq. 2)."""

    def forward(self, h: Tensor) -> Tensor:
        return h * torch.rsqrt(h.square().mean(1, keepdim=True) + 1e-8)


def norm_of(kind: str, channels: int) -> nn.Module:
    """The norm of that name.

    Raises:
        ValueError: another name.
    """
    if kind not in ("batch", "pixel", "none"):
        raise ValueError(f"expected norm among batch, pixel, none; got {kind!r}")
    return nn.BatchNorm2d(channels) if kind == "batch" else PixelRMSNorm() if kind == "pixel" else nn.Identity()


def picture(shape: Sequence[int | None], halvings: int) -> tuple[int, int, int]:
    """Channels, and the sides after so many halvings, of an image event's shape.

    Raises:
        ValueError: no image, or sides that cannot be halved so often down to 4 pixels or more.
    """
    if len(shape) not in (2, 3) or any(side is None for side in shape):
        raise ValueError(f"expected images (C, H, W) or (H, W) of known sides, got {tuple(shape)}; tables need an MLP")
    channels, (height, width) = (shape[0] or 1 if len(shape) == 3 else 1), (int(s or 0) for s in shape[-2:])
    step = 2**halvings
    if height % step or width % step or min(height, width) < LEAST * step:
        raise ValueError(
            f"expected sides that {halvings} halvings leave whole and at {LEAST} pixels or more, "
            f"got {height} x {width}: pad or resize the images to multiples of {step}, or give fewer entries in hidden"
        )
    return channels, height // step, width // step


def halvings(event: Event) -> int:
    """How often both sides can be halved, down to 4 pixels or more; 0 for what is no image.

    >>> halvings(Event((28, 28))), halvings(Event((3, 32, 32))), halvings(Event((5, 9))), halvings(Event((2,)))
    (2, 3, 0, 0)
    """
    if not event.image or any(not side for side in event.shape[-2:]):
        return 0
    sides, count = [int(side or 0) for side in event.shape[-2:]], 0
    while all(side % 2 == 0 and side >= 2 * LEAST for side in sides):
        sides, count = [side // 2 for side in sides], count + 1
    return count


class ConvGenerator(Configurable, nn.Module):
    """z (B, latent), context (B, K) or None -> (B, *shape).

    Args:
        shape: of an image, (C, H, W) or (H, W).
        latent: entries of z. context: entries of the context, 0 for none.
        hidden: channels at each size, from the smallest; each next picture has twice the pixels a side, and the image
            twice those of the last.
        norm: "batch", "pixel" or "none".
        squash: whether the image ends in a tanh.

    Raises:
        ValueError: sides that these doublings cannot make.

    >>> ConvGenerator((3, 32, 32), 16, hidden=(32, 16, 8))(torch.zeros(2, 16)).shape
    torch.Size([2, 3, 32, 32])
    """

    role: ClassVar[str] = "network"

    def __init__(
        self,
        shape: Sequence[int | None],
        latent: int,
        context: int = 0,
        hidden: Sequence[int] = (128, 64),
        norm: str = "batch",
        squash: bool = True,
    ) -> None:
        super().__init__()
        channels, *sides = picture(shape, len(hidden))
        self.shape, self.squash, self.start = tuple(shape), squash, (hidden[0], *sides)
        self.first = nn.Linear(latent + context, hidden[0] * sides[0] * sides[1], bias=False)
        self.norms = nn.ModuleList(norm_of(norm, width) for width in hidden)
        pairs = zip(hidden, [*hidden[1:], channels], strict=True)
        last = len(hidden) - 1
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1, bias=i == last or norm != "batch") for i, (a, b) in enumerate(pairs)
        )

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.first(joined(z, context)).unflatten(1, self.start)
        h = h.contiguous(memory_format=torch.channels_last)
        for rule, grow in zip(self.norms, self.grow, strict=True):
            h = grow(F.relu(rule(h)))
        out: Tensor = (h.tanh() if self.squash else h).reshape(len(z), *self.shape)
        return out


class ConvCritic(Configurable, nn.Module):
    """u (B, *shape), context (B, K) or None -> (B,).

    Args:
        shape: of an image, (C, H, W) or (H, W).
        context: entries of the context, 0 for none.
        hidden: channels at each size, from the largest; each has half the pixels a side of the one before it.
        norm: "batch", "pixel" or "none".

    Raises:
        ValueError: sides that cannot be halved so often.

    >>> ConvCritic((28, 28))(torch.zeros(2, 28, 28)).shape
    torch.Size([2])
    """

    role: ClassVar[str] = "network"

    def __init__(
        self, shape: Sequence[int | None], context: int = 0, hidden: Sequence[int] = (64, 128), norm: str = "none"
    ) -> None:
        super().__init__()
        channels, *sides = picture(shape, len(hidden))
        pairs = list(zip([channels, *hidden[:-1]], hidden, strict=True))
        self.channels, features = channels, hidden[-1] * sides[0] * sides[1]
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairs)
        self.norms = nn.ModuleList(nn.Identity() if i == 0 else norm_of(norm, b) for i, (_, b) in enumerate(pairs))
        self.last = nn.Linear(features, 1)
        self.project = nn.Linear(context, features, bias=False) if context else None

    def features(self, u: Tensor) -> Tensor:
        """(B, features): what the critic made of an image."""
        h = u.reshape(len(u), self.channels, *u.shape[-2:]).contiguous(memory_format=torch.channels_last)
        for rule, shrink in zip(self.norms, self.shrink, strict=True):
            h = F.leaky_relu(rule(shrink(h)), SLOPE)
        return h.flatten(1)

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.features(u)
        out: Tensor = self.last(h).squeeze(1)
        if self.project is None or context is None:
            return out
        # as large as the first term: a sum of products of as many features
        return out + (self.project(joined(context)) * h).sum(1) / h.shape[1] ** 0.5
