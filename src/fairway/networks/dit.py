"""A diffusion transformer: an image as patches that all attend to each other (Peebles and Xie 2023, section 3.2).

    c   = silu(A phi(t) + B context)                           see `Conditions`: a context may be missing
    h   = W patches(u) + p                                     p fixed sines and cosines of a patch's row and column
    h  <- h + g_1 attention((1 + a_1) norm(h) + b_1)           `layers` blocks; a, b, g are linear in c and 0 at first,
    h  <- h + g_2 V gelu(U ((1 + a_2) norm(h) + b_2))          so that a block starts as the identity ("adaLN-Zero")
    y   = patches^-1(W' ((1 + a) norm(h) + b)),                W' = 0 at first, so that training starts from y = 0

`norm` has no weights of its own: scale and shift are what the time and the context say. Sides that `patch` does not
divide are padded with zeros below and on the right, and cropped at the end. Sizes (width, layers, heads) of the paper:
S (384, 12, 6), B (768, 12, 12), L (1024, 24, 16), XL (1152, 28, 16); its time goes through one linear layer more.
Shapes: u (B, C, H, W) or (B, H, W), t (B,), context (B, ...).
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.attention import attend, split_heads
from fairway.networks.conditions import Conditions
from fairway.networks.joined import joined

SLOWEST = 1e-4  # radians a patch, of the positions; the fastest wave turns by one


def positions(rows: int, columns: int, width: int) -> Tensor:
    """(rows columns, width): [sin, cos] of the row, then of the column, at width / 4 frequencies each."""
    frequencies = SLOWEST ** (torch.arange(width // 4) / (width // 4))
    row, column = (torch.arange(side).unsqueeze(1) * frequencies for side in (rows, columns))
    row, column = row.repeat_interleave(columns, 0), column.repeat(rows, 1)
    return torch.cat([row.sin(), row.cos(), column.sin(), column.cos()], 1)


class _Modulation(nn.Module):
    """c (B, width) -> `parts` of (B, 1, width), the same for all tokens; 0 at first."""

    def __init__(self, width: int, parts: int) -> None:
        super().__init__()
        self.parts, self.linear = parts, nn.Linear(width, parts * width)
        for parameter in self.linear.parameters():
            nn.init.zeros_(parameter)

    def forward(self, c: Tensor) -> tuple[Tensor, ...]:
        return self.linear(c).unsqueeze(1).chunk(self.parts, 2)


def _modulated(h: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """(1 + scale) norm(h) + shift."""
    return F.layer_norm(h, h.shape[-1:], eps=1e-6) * (1 + scale) + shift


class _Block(nn.Module):
    """Attention and a perceptron of four times the width, each added to the stream as far as c opens its gate."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.modulation = heads, _Modulation(width, 6)
        self.project, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        scale, shift, gate, inner_scale, inner_shift, inner_gate = self.modulation(c)
        told = split_heads(self.project(_modulated(h, scale, shift)), self.heads)
        h = h + gate * self.merge(attend(*told))
        return h + inner_gate * self.perceptron(_modulated(h, inner_scale, inner_shift))


class DiT(Configurable, nn.Module):
    """u (B, C, H, W) or (B, H, W), t (B,), context (B, ...) or None -> (B, outputs C, H, W) or (B, outputs H, W).

    Args:
        shape: (C, H, W), or (H, W) for images without an axis of channels.
        context: entries of the context, 0 for none.
        width: of the stream; a multiple of heads and of 4.
        layers, heads: of attention.
        patch: side of a square patch; the cost of attention falls with its fourth power.
        context_dropout: share of rows that lose their context in training, without which there is no guidance.
        outputs: how many answers as large as u are given, one after the other along dim 1: 2 for a `DDPM` with learned
            variance.

    Raises:
        ValueError: sizes that do not fit, here or (when called) of u, t or the context.

    >>> import torch
    >>> DiT((3, 7, 8), width=16, layers=2)(torch.zeros(5, 3, 7, 8), torch.rand(5)).shape
    torch.Size([5, 3, 7, 8])
    """

    role: ClassVar[str] = "network"
    positions: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        context: int = 0,
        width: int = 128,
        layers: int = 4,
        heads: int = 4,
        patch: int = 2,
        context_dropout: float = 0.0,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise ValueError(f"expected the shape (C, H, W) or (H, W) of an image, got {tuple(shape)}")
        for what, value in dict(width=width, layers=layers, heads=heads, patch=patch, outputs=outputs).items():
            if value < 1:
                raise ValueError(f"expected {what} of at least 1, got {value}")
        if width % heads or width % 4:
            raise ValueError(f"expected a width that is a multiple of heads={heads} and of 4, got {width}")
        self.shape, self.context, self.patch = tuple(shape), context, patch
        channels, height, across = (1, *shape)[-3:]
        self.grid = math.ceil(height / patch), math.ceil(across / patch)
        self.conditions = Conditions(width, context, context_dropout)
        self.first = nn.Conv2d(channels, width, patch, stride=patch)
        self.register_buffer("positions", positions(*self.grid, width), persistent=False)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.modulation, self.last = _Modulation(width, 2), nn.Linear(width, outputs * channels * patch**2)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        self._check(u, t, context)
        c, h = F.silu(self.conditions(t, context)), self._patches(u) + self.positions
        for block in self.blocks:
            h = block(h, c)
        y = self.last(_modulated(h, *self.modulation(c))).transpose(1, 2).unflatten(2, self.grid)
        rows, columns = self.shape[-2:]
        return F.pixel_shuffle(y, self.patch)[..., :rows, :columns].reshape(len(u), -1, *self.shape[1:])

    def _patches(self, u: Tensor) -> Tensor:
        """(B, tokens, width), row by row."""
        right, below = (-side % self.patch for side in (self.shape[-1], self.shape[-2]))
        images = F.pad(u.reshape(len(u), -1, *self.shape[-2:]), (0, right, 0, below))
        embedded: Tensor = self.first(images).flatten(2).transpose(1, 2)
        return embedded

    def _check(self, u: Tensor, t: Tensor, context: Tensor | None) -> None:
        if u.shape[1:] != self.shape:
            wanted = ", ".join(map(str, self.shape))
            raise ValueError(f"expected images of shape (batch, {wanted}), got {tuple(u.shape)}")
        if t.shape != u.shape[:1]:
            raise ValueError(f"expected a time for each of {len(u)} rows, t of shape ({len(u)},), got {tuple(t.shape)}")
        if context is not None and joined(context).shape != (len(u), self.context):
            wanted = f"a context of shape ({len(u)}, {self.context})" if self.context else "no context, as context=0"
            raise ValueError(f"expected {wanted}, got one of shape {tuple(context.shape)}")
