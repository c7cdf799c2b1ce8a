"""Coupling of images: half of the channels passes through and says how the other half moves.

    u = [a, b]   z = [a, T(b; phi)],   phi = network(a, c), one set of parameters for every pixel and moved channel
    affine:  z_b = b e^s + t,   log|det| = sum of s over channels and pixels       (Dinh et al. 2017, eq. 4 to 6)

Which channels make a half is decided by what lies in front: after `Squeeze`, the order `squares` gives a checkerboard
of the pixels and the plain order gives rows of channels (RealNVP, section 3.4); Glow learns it by a 1 x 1 convolution.
Shapes: (B, C, H, W), context (B, K).
"""

import torch
from torch import Tensor, nn

from fairway.models.flow.transforms.transform import Transform
from fairway.models.flow.transforms.univariate import Univariate


class ImageCoupling(Transform):
    """A coupling of channels (B, C, H, W), C >= 2.

    Args:
        channels: C.
        univariate: the map of each moved entry.
        conditioner: network (B, kept, H, W), context -> (B, parameters * moved, H, W).
        swap: move the first half instead of the second.
    """

    def __init__(self, channels: int, univariate: Univariate, conditioner: nn.Module, swap: bool = False) -> None:
        super().__init__()
        self.channels, self.univariate, self.conditioner, self.swap = channels, univariate, conditioner, swap
        self.sizes(channels, swap)

    @staticmethod
    def sizes(channels: int, swap: bool = False) -> tuple[int, int]:
        """(kept, moved) channels.

        Raises:
            ValueError: fewer than two.
        """
        if channels < 2:
            raise ValueError(f"expected at least 2 channels to couple, got {channels}; squeeze the image first")
        first = channels // 2
        return (channels - first, first) if swap else (first, channels - first)

    def _apply_map(self, x: Tensor, context: Tensor | None, inverse: bool) -> tuple[Tensor, Tensor]:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"expected images (batch, {self.channels}, H, W), got {tuple(x.shape)}")
        first = self.channels // 2
        a, b = x[:, :first], x[:, first:]
        kept, moved = (b, a) if self.swap else (a, b)
        phi = self.conditioner(kept, context).unflatten(1, (self.univariate.parameters, -1)).movedim(1, 0)
        moved, ladj = (self.univariate.to_data if inverse else self.univariate.to_latent)(moved, phi)
        return torch.cat([moved, kept] if self.swap else [kept, moved], 1), ladj.flatten(1).sum(1)

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_map(u, context, inverse=False)

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_map(z, context, inverse=True)
