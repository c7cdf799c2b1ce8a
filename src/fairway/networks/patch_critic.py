"""PatchGAN: a critic of images that judges them patch by patch (Isola et al. 2017; Zhu et al. 2017).

    h = lrelu(K * [u, c]);   h <- lrelu(norm(K * h)) while it shrinks;   d = K' * h        a logit for each patch

K are convolutions of 4 x 4 pixels and stride 2, K' is one of 3 x 3: after n halvings a logit sees 5 * 2^n - 2 pixels a
side. What lies farther apart is independent to it, like a texture: a cost of the layout is somebody else's business.
Beside the image it may be shown the one that it should go with, channel by channel. "norm" is per image and channel
(instance norm), so that real and fake rows may pass together; it makes statistics of the whole image known to every
patch. Shapes: u, c (B, C, H, W) or (B, H, W), d (B, H / 2^n, W / 2^n).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.dcgan import SLOPE
from fairway.networks.translation import as_images, instance_norm, lay_out, sizes


class PatchCritic(Configurable, nn.Module):
    """PatchGAN: u (B, channels, H, W), context (B, context, H, W) or None -> (B, h, w), a logit for each patch.

    Args:
        channels: of the image that is judged.
        context: channels of the image that it should go with, 0 for none.
        hidden: channels at each size, from the largest; each has half the sides of the one before it, rounded down.
        norm: "instance", or "none": a logit then depends on its patch alone.

    Raises:
        ValueError: no size, another norm; (when called) other channels, or sides too small to be halved so often.

    >>> critic = PatchCritic(3, hidden=(8, 16))
    >>> critic(torch.zeros(5, 3, 32, 24)).shape, critic.patch
    (torch.Size([5, 8, 6]), 18)
    """

    role: ClassVar[str] = "network"

    def __init__(
        self, channels: int, context: int = 0, hidden: Sequence[int] = (64, 128), norm: str = "instance"
    ) -> None:
        super().__init__()
        if norm not in ("instance", "none"):
            raise ValueError(f"expected norm among instance, none; got {norm!r}")
        self.channels, self.context, self.halvings = channels, context, sizes(hidden)
        pairs = list(pairwise([channels + context, *hidden]))
        normed = [norm == "instance" and i > 0 for i in range(len(pairs))]
        self.shrink = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, 1, bias=not n) for (a, b), n in zip(pairs, normed, strict=True)
        )
        self.norms = nn.ModuleList(
            instance_norm(b) if n else nn.Identity() for (_, b), n in zip(pairs, normed, strict=True)
        )
        self.last = nn.Conv2d(hidden[-1], 1, 3, padding=1)
        lay_out(self)

    @staticmethod
    def check(sides: Sequence[int], halvings: int) -> None:
        """Whether it can judge images of these sides (H, W).

        Raises:
            ValueError: fewer than 2 pixels a side would be left, which have no norm.
        """
        if min(sides) < 2 * 2**halvings:
            raise ValueError(
                f"expected sides of {2 * 2**halvings} pixels or more for a critic of {halvings} halvings, got "
                f"{' x '.join(map(str, sides))}: give it fewer entries in hidden"
            )

    @property
    def patch(self) -> int:
        """Pixels a side of what one logit sees."""
        return (5 << self.halvings) - 2

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        h = as_images(u, self.channels)
        if (context is None) != (self.context == 0):
            wanted = f"an image of {self.context} channels" if self.context else "no image"
            raise ValueError(f"expected {wanted} beside u, got {'none' if context is None else 'one'}")
        if context is not None:
            h = torch.cat([h, as_images(context, self.context, "a context image")], 1)
        self.check(h.shape[2:], self.halvings)
        h = h.contiguous(memory_format=torch.channels_last)
        for shrink, rule in zip(self.shrink, self.norms, strict=True):
            h = F.leaky_relu(rule(shrink(h)), SLOPE)
        out: Tensor = self.last(h).squeeze(1)
        return out
