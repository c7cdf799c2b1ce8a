"""Reordering of entries: a rotation of the space, log-determinant 0. Vectors (B, d) lie with the batch last."""

import torch
from torch import Tensor

from fairway.models.flow.transforms.transform import Transform


class Permutation(Transform):
    """z_i = u_order[i].

    Args:
        order: (d,) indices.
    """

    order: Tensor
    inverse: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)
        self.register_buffer("inverse", torch.argsort(order))

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return u.T.index_select(0, self.order).T, u.new_zeros(len(u))

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z.T.index_select(0, self.inverse).T, z.new_zeros(len(z))


def checkerboard(shape: tuple[int, ...]) -> Tensor:
    """(d,) order that puts the black squares of an image (the even entries of a vector) into the first half."""
    grid = torch.meshgrid(*[torch.arange(s) for s in shape], indexing="ij")
    return torch.argsort(torch.stack(grid).sum(0).flatten() % 2, stable=True)
