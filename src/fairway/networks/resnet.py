"""A residual convolutional network that keeps the size of its image (He et al. 2016; as RealNVP's conditioner).

    h_0 = K * x + V c + P w                                   w: waves that tell where a pixel lies (see `conv`)
    h_l = h_{l-1} + K'_l * relu(K_l * relu(norm(h_{l-1})))    one line per entry of `hidden`, K of 3 x 3 pixels
    y   = W relu(norm(h_L)),                                  W of 1 x 1, zero at first: training starts from y = 0

`norm` standardises the channels of each pixel, in place of RealNVP's batch normalisation: a row never sees its
neighbours, and y is bounded whatever the input. Shapes: x (B, C, H, W), context c (B, K).
"""

from collections.abc import Sequence
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.conv import ContextBias, PixelBias, held, pixel_norm, zero_last
from fairway.networks.dropout import Dropout


class _Block(nn.Module):
    """h + K' * relu(K * relu(norm(h)))."""

    def __init__(self, width: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, inner, 3, padding=1), nn.Conv2d(inner, width, 3, padding=1)
        self.dropout = Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.second(self.dropout(F.relu(self.first(F.relu(pixel_norm(h))))))
        return out


class ResNet(Configurable, nn.Module):
    """x (B, inputs, H, W), context (B, K) -> (B, outputs, H, W).

    Args:
        inputs, outputs: channels of both ends.
        hidden: inner channels of every residual block; the first is also the width of the stream between them.
        context: entries of the context, 0 for none.
        dropout: share of inner units dropped in training.
        waves: cosine waves along each side that tell where a pixel lies; 0 for a network that is the same everywhere.

    Raises:
        ValueError: no hidden width, or (when called) a context of another width.

    >>> import torch
    >>> ResNet(2, 4, hidden=(8,))(torch.zeros(5, 2, 6, 7)).shape
    torch.Size([5, 4, 6, 7])
    """

    role: ClassVar[str] = "network"

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int] = (32, 32),
        context: int = 0,
        dropout: float = 0.0,
        waves: int = 0,
    ) -> None:
        super().__init__()
        if not hidden:
            raise ValueError("expected at least one residual block in hidden, got none")
        self.first, self.condition = nn.Conv2d(inputs, hidden[0], 3, padding=1), ContextBias(context, hidden[0])
        self.position = PixelBias(waves, hidden[0])
        self.blocks = nn.ModuleList(_Block(hidden[0], inner, dropout) for inner in hidden)
        self.last = zero_last(hidden[0], outputs, 1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.position(self.condition(self.first(held(x)), context))
        for block in self.blocks:
            h = block(h)
        out: Tensor = self.last(F.relu(pixel_norm(h)))
        return out
