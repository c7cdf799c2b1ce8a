"""Invertible 1 x 1 convolution: one learned matrix mixes the channels of every pixel (Glow, section 3.2).

    z[:, i, j] = W u[:, i, j],   log|det| = H W log|det W| = H W sum log|s|,   W = P L (U + diag(s))

It takes the place of a fixed permutation between couplings, and starts as a random rotation. The way back is the
convolution with W^-1, solved for once by two triangular systems. Shapes: (B, C, H, W).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fairway.models.flow.transforms.actnorm import LIMIT
from fairway.models.flow.transforms.linear import PLU
from fairway.models.flow.transforms.transform import Transform


class Conv1x1(Transform):
    """z = W u at every pixel.

    Args:
        channels: C.
        seed: of the rotation it starts as; None starts at the identity.
    """

    def __init__(self, channels: int, seed: int | None = None) -> None:
        super().__init__()
        self.channels, self.matrix = channels, PLU(channels, seed)

    def _mix(self, x: Tensor, weight: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"expected images (batch, {self.channels}, H, W), got {tuple(x.shape)}")
        ladj = sign * x[0, 0].numel() * self.matrix.log_scale.sum()
        return F.conv2d(x, weight[:, :, None, None]), ladj.expand(len(x))

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._mix(u, self.matrix.weight(), 1)

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        inverse = self.matrix.solve(torch.eye(self.channels, dtype=z.dtype, device=z.device))
        return self._mix(z, inverse.clamp(-LIMIT, LIMIT), -1)  # a wild matrix has an inverse beyond float32
