"""Squeeze: every 2 x 2 block of pixels becomes one pixel with four times the channels (RealNVP, section 3.6).

    (B, C, H, W) -> (B, 4C, H/2, W/2),   a reordering: log|det| = 0

Channels come in four groups of C: top left, top right, bottom left, bottom right. So groups 0 and 3 are the white
squares of a checkerboard and groups 1 and 2 the black ones: a coupling of channels after a squeeze is a coupling of
squares before it, on a quarter of the pixels. `Rows` ends a flow of images: what reaches the base is a vector.
"""

import math

import torch
from torch import Tensor

from fairway.models.flow.transforms.transform import Transform


class Squeeze(Transform):
    """Space to depth by 2 x 2; channels lie last in memory, where convolutions are fastest.

    Raises:
        ValueError: (when called) an odd height or width.

    >>> Squeeze().to_latent(torch.arange(4.0).reshape(1, 1, 2, 2))[0].flatten()
    tensor([0., 1., 2., 3.])
    """

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if u.ndim != 4 or u.shape[2] % 2 or u.shape[3] % 2:
            raise ValueError(
                f"expected images (batch, C, H, W) of even height and width to squeeze, got {tuple(u.shape)}; "
                "pad or crop them, or use fewer levels"
            )
        z = u.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).permute(0, 2, 4, 3, 5, 1)  # B, H/2, W/2, 2, 2, C
        return z.flatten(3).permute(0, 3, 1, 2), u.new_zeros(len(u))

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if z.ndim != 4 or z.shape[1] % 4:
            raise ValueError(f"expected (batch, 4C, H, W) to undo a squeeze, got {tuple(z.shape)}")
        u = z.unflatten(1, (2, 2, -1)).permute(0, 4, 1, 5, 2, 3)  # B, H, 2, W, 2, C
        return u.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2), z.new_zeros(len(z))


class Rows(Transform):
    """Images (B, *shape) to rows (B, D).

    Args:
        shape: (C, H, W).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return u.reshape(len(u), math.prod(self.shape)), u.new_zeros(len(u))

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z.reshape(len(z), *self.shape), z.new_zeros(len(z))


class Channels(Transform):
    """Channels of images (B, C, H, W) in another order: z_c = u_order[c].

    Args:
        order: (C,) indices.
    """

    order: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return u.index_select(1, self.order), u.new_zeros(len(u))

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z.index_select(1, torch.argsort(self.order)), z.new_zeros(len(z))


def squares(channels: int) -> Tensor:
    """(4 C,) order of squeezed channels that puts the white squares of a checkerboard into the first half."""
    return torch.arange(4 * channels).reshape(4, channels)[[0, 3, 1, 2]].flatten()
