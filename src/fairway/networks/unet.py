"""U-Net: down to few pixels and up again, with a shortcut at every size (Ronneberger et al. 2015; Ho et al. 2020).

    c    = silu(A phi(t) + B context)                                  see `Conditions`: a context may be missing
    R(h) = S h + K_2 silu((1 + a c) norm(K_1 silu(norm(h))) + b c)     a residual block; K_2 = 0 at first
    down   h <- R(h) `blocks` times, each kept; halve                  at every size but the last
    middle h <- R(h) `blocks` times, attention, R(h) `blocks` times
    up     double; h <- R([h, kept]) `blocks` times                    at every size but the last
    y    = K silu(norm(h)),                                            K = 0 at first: training starts from y = 0

Scale and shift by c: Nichol and Dhariwal 2021, section 3.2. Sizes are halved by means and doubled by copies, which cost
nothing beside a convolution. `norm` standardises the channels of each pixel, not groups of channels over all pixels:
on a processor in bfloat16 that is five times as fast. Sides that cannot be halved so often are padded with zeros and
the result is cropped. Shapes: u (B, C, H, W) or (B, H, W), t (B,), context (B, ...).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.attention import attend, split_heads
from fairway.networks.conditions import Conditions
from fairway.networks.conv import zero_last
from fairway.networks.dropout import Dropout

HEAD = 32  # channels of a head of attention


class PixelNorm(nn.LayerNorm):
    """(B, C, H, W): the channels of every pixel at mean 0 and variance 1, then a scale and a shift for each channel."""

    def forward(self, h: Tensor) -> Tensor:
        # a view without a copy where channels lie last in memory
        return super().forward(h.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """h (B, inputs, H, W), c (B, conditions) -> (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, conditions: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm, self.first = PixelNorm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.condition, self.inner = nn.Linear(conditions, 2 * outputs), PixelNorm(outputs)
        self.dropout, self.second = Dropout(dropout), zero_last(outputs, outputs, 3)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        scale, shift = self.condition(c)[:, :, None, None].chunk(2, 1)
        inside = torch.addcmul(shift, self.inner(self.first(F.silu(self.norm(h)))), 1 + scale)
        out: Tensor = self.shortcut(h) + self.second(self.dropout(F.silu(inside)))
        return out


class PixelAttention(nn.Module):
    """h + W attention(norm(h)): every pixel looks at every other of its image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(channels // HEAD, 1)
        self.norm = nn.LayerNorm(channels)
        self.projections = nn.Linear(channels, 3 * self.heads * HEAD, bias=False)
        self.last = nn.Linear(self.heads * HEAD, channels)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, h: Tensor, c: Tensor | None = None) -> Tensor:
        tokens = self.norm(h.flatten(2).transpose(1, 2))  # (B, pixels, channels)
        seen = self.last(attend(*split_heads(self.projections(tokens), self.heads)))
        out: Tensor = h + seen.transpose(1, 2).unflatten(2, h.shape[2:])
        return out


class UNet(Configurable, nn.Module):
    """u (B, C, H, W), t (B,), context (B, ...) or None -> (B, outputs C, H, W).

    Args:
        channels: C, 1 for images without a channel axis.
        context: entries of the context, 0 for none.
        hidden: channels at each size, from the largest; each next size has half the pixels a side.
        blocks: residual blocks at each size, on the way down and on the way up. On garments, after 7 minutes of one
            core, 1 was ahead of 2 (EDM's loss .225 against .235); with hours on a card take 2 to 4.
        dropout: share of hidden channels' entries dropped in training.
        context_dropout: share of rows that lose their context in training, without which there is no guidance.
        outputs: how many answers as large as u are given, one after the other along dim 1.

    Raises:
        ValueError: no size, or (when called) something that is no image of that many channels.

    >>> UNet(3, hidden=(8, 16))(torch.zeros(5, 3, 9, 7), torch.rand(5)).shape
    torch.Size([5, 3, 9, 7])
    """

    role: ClassVar[str] = "network"

    def __init__(
        self,
        channels: int,
        context: int = 0,
        hidden: Sequence[int] = (32, 64, 128),
        blocks: int = 1,
        dropout: float = 0.0,
        context_dropout: float = 0.0,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        if not hidden or blocks < 1:
            raise ValueError(f"expected channels of one size or more and a block, got hidden={hidden}, blocks={blocks}")
        self.channels, self.blocks, self.halvings, conditions = channels, blocks, len(hidden) - 1, 4 * hidden[0]
        self.conditions = Conditions(conditions, context, context_dropout)
        self.first = nn.Conv2d(channels, hidden[0], 3, padding=1)

        def run(inputs: int, outputs: int, kept: int = 0) -> list[ResidualBlock]:
            wide = [inputs + kept, *(outputs + kept for _ in range(blocks - 1))]
            return [ResidualBlock(width, outputs, conditions, dropout) for width in wide]

        before, lowest, steps = hidden[max(len(hidden) - 2, 0)], hidden[-1], list(pairwise(hidden))
        down = [run(before, width) for before, width in zip([hidden[0], *hidden], hidden[:-1], strict=False)]
        self.down = nn.ModuleList(block for blocks in down for block in blocks)
        self.middle = nn.ModuleList([*run(before, lowest), PixelAttention(lowest), *run(lowest, lowest)])
        self.up = nn.ModuleList(block for width, below in reversed(steps) for block in run(below, width, width))
        self.last = nn.Sequential(PixelNorm(hidden[0]), nn.SiLU(), zero_last(hidden[0], outputs * channels, 3))

    def forward(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        images, c = self._checked(u), F.silu(self.conditions(t, context))
        h = self.first(self._padded(images))
        kept: list[Tensor] = []
        for i, block in enumerate(self.down, 1):
            h = block(h, c)
            kept.append(h)
            h = h if i % self.blocks else F.avg_pool2d(h, 2)
        for block in self.middle:
            h = block(h, c)
        for i, block in enumerate(self.up):
            h = h if i % self.blocks else F.interpolate(h, scale_factor=2.0)
            h = block(torch.cat([h, kept.pop()], 1), c)
        out: Tensor = self.last(h)[..., : images.shape[2], : images.shape[3]]
        return out.reshape(len(u), -1, *u.shape[2:]) if u.dim() == 3 else out

    def _checked(self, u: Tensor) -> Tensor:
        """(B, C, H, W)."""
        images = u.unsqueeze(1) if u.dim() == 3 else u
        if images.dim() != 4 or images.shape[1] != self.channels:
            raise ValueError(
                f"expected images (batch, {self.channels}, height, width), got {tuple(u.shape)}; "
                "rows of a table need a perceptron (`time_mlp`)"
            )
        return images

    def _padded(self, images: Tensor) -> Tensor:
        """Zeros below and to the right, until every halving comes out even; channels last in memory."""
        down, right = (-side % 2**self.halvings for side in images.shape[2:])
        padded = F.pad(images, (0, right, 0, down)) if down or right else images
        return padded.contiguous(memory_format=torch.channels_last)
