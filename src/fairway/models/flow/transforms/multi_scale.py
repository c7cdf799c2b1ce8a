"""Multi-scale: after some steps half of the channels is done, the rest goes on at half the size (RealNVP, 3.6).

    h = steps(u),   h = [a, b] by channels,   z = [rest(a), b]        log|det| = that of steps + that of rest

Nested, with a squeeze at the start of every level, the cost of a level falls with its size. That b is N(0, I) given a
is no restriction: let `steps` end with a coupling that moves b given a, b' = (b - mu(a)) e^-s(a), and b has the learned
conditional prior N(mu(a), e^{2 s(a)}) of Glow while the base stays N(0, I). Shapes: (B, C, H, W) -> (B, C H W).
"""

import math

import torch
from torch import Tensor

from fairway.models.flow.transforms.transform import Transform


class MultiScale(Transform):
    """Half of what `steps` give goes through `rest`, the other half is done.

    Args:
        steps: images (B, ...) to images (B, *shape).
        rest: images (B, C/2, H, W) to rows or images of as many entries.
        shape: (C, H, W), what `steps` give.

    Raises:
        ValueError: an odd number of channels.
    """

    def __init__(self, steps: Transform, rest: Transform, shape: tuple[int, int, int]) -> None:
        super().__init__()
        if shape[0] % 2:
            raise ValueError(f"expected an even number of channels to factor out half of them, got shape {shape}")
        self.steps, self.rest, self.shape = steps, rest, shape
        self.entries = math.prod(shape) // 2

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h, first = self.steps.to_latent(u, context)
        a, b = h.chunk(2, 1)
        z, second = self.rest.to_latent(a, context)
        return torch.cat([z.flatten(1), b.flatten(1)], 1), first + second

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        channels, height, width = self.shape
        a, second = self.rest.to_data(z[:, : self.entries], context)
        b = z[:, self.entries :].reshape(len(z), channels // 2, height, width)
        u, first = self.steps.to_data(torch.cat([a, b], 1), context)
        return u, first + second
