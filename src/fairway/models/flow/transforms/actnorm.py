"""ActNorm: a scale and a shift per channel that start from the data (Kingma and Dhariwal 2018, Glow, section 3.1).

    z = u e^s + t,   log|det| = H W sum s   for images (B, C, H, W),   sum s   for vectors (B, D)
    at the start:  e^s = 1 / std(u),  t = -mean(u) / std(u)   per channel, or per entry of a vector

so that the first training rows leave every layer with mean 0 and variance 1, however deep; from then on s and t are
ordinary parameters, and a batch never matters. s is softly bounded (|s| < 3). A constant channel has nothing to
normalise: it is centred and keeps its scale. `start_from` walks the rows through a flow once, before the first step.
Values are held within 1e12 on both sides, where float32 has long lost the neighbours: no stack of layers overflows.
"""

import torch
from torch import Tensor, nn

from fairway.models.flow.transforms.transform import Transform
from fairway.models.flow.transforms.univariate import LARGEST_LOG_SCALE, affine, raw_log_scale

LIMIT = 1e12
CONSTANT = 1e-5  # a spread below this share of the channel's size is rounding


class ActNorm(Transform):
    """A learned affine map of every channel; the identity until it has seen data.

    Args:
        channels: C of images, or D of vectors.
    """

    started: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.phi = nn.Parameter(torch.zeros(affine.parameters, channels))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self.watching = False

    @torch.no_grad()
    def start(self, u: Tensor) -> None:
        """Standardise these rows (n, channels, ...) from now on."""
        values = u.transpose(0, 1).flatten(1).double()
        mean, std = values.mean(1), values.std(1, correction=0)
        varies = std > CONSTANT * values.abs().amax(1)
        bound = 0.99 * LARGEST_LOG_SCALE
        s = torch.where(varies, -std.log(), 0.0).clamp(-bound, bound)
        raw = raw_log_scale(s)
        self.phi.copy_(torch.stack([raw, -mean * s.exp()]))
        self.started.fill_(True)

    def _spread(self, like: Tensor) -> Tensor:
        """(2, 1, C, 1, 1) parameters beside an image, (2, 1, D) beside a vector."""
        if like.shape[1] != self.phi.shape[1]:
            raise ValueError(f"expected {self.phi.shape[1]} channels (batch, channels, ...), got {tuple(like.shape)}")
        return self.phi.reshape(affine.parameters, 1, -1, *[1] * (like.ndim - 2))

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.watching:
            self.start(u)
        z, s = affine.to_latent(u, self._spread(u))
        return z.clamp(-LIMIT, LIMIT), (s.sum() * u[0, 0].numel()).expand(len(u))

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u, s = affine.to_data(z, self._spread(z))
        return u.clamp(-LIMIT, LIMIT), (s.sum() * z[0, 0].numel()).expand(len(z))


@torch.no_grad()
def start_from(transform: Transform, u: Tensor, context: Tensor | None = None) -> None:
    """Start every ActNorm inside that has not been started, each from what reaches it of the rows u.

    Args:
        transform: a flow's.
        u: (n, *shape) rows on its data side.
        context: (n, K) or None.
    """
    waiting = [m for m in transform.modules() if isinstance(m, ActNorm) and not bool(m.started)]
    for layer in waiting:
        layer.watching = True
    try:
        if waiting:
            transform.to_latent(u, context)
    finally:
        for layer in waiting:
            layer.watching = False
