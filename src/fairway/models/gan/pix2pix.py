"""pix2pix: an image of a paired image, by a U-Net and a critic of patches (Isola, Zhu, Zhou and Efros 2017).

    min_g max_d  E log sigma(d(u, c)) + E log(1 - sigma(d(g(c, z), c))) + 100 E |u - g(c, z)|

over pairs (u, c) of the data, images of the same sides in [-1, 1]. The absolute error alone gives the median of what
could be, which is blurred where edges could lie here or there; the critic, which sees a patch of the pair at a time,
asks for sharp ones and leaves the layout to the error. The paper's noise is dropout, here it is a small vector at the
U-Net's smallest picture; either way the generator learns to make little of it, as the error punishes variety (section
3.2). The context may be a map of labels, such as a segmentation.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from fairway.core.case import Case
from fairway.core.event import Event
from fairway.core.objective import Objective, Optimisation
from fairway.models.gan.image_generator import widths
from fairway.models.gan.translator import Translator, bounded, channels, sides
from fairway.networks.translation import SkipNet


class Pix2Pix(Translator):
    """An image given another, from pairs.

    Args:
        event: an image, (C, H, W) or (H, W).
        context_event: an image of the same sides, of any channels and kind; a map of labels, too.
        latent: entries of the noise.
        hidden: channels at each size, from the largest, which has half the image's sides; None for as many halvings as
            leave 4 pixels or more.

    Raises:
        ValueError: what is no image, a missing context, or sides that differ or cannot be halved so often.
    """

    cites = ("isola2017pix2pix",)
    without_context = "pass context=... (an image for each row); for unpaired data take cycle_gan"
    optimisation = Optimisation(lr=1e-3, betas=(0.5, 0.999), clip=None, ema=0.999)
    tiny: ClassVar[list[Case]] = [
        Case(
            Event((8, 8), "integer", low=0, high=16), Event((8, 8), "category", levels=3), {"latent": 2, "hidden": (8,)}
        ),
        Case(
            Event((2, 4, 8), "bounded", low=0.0, high=1.0),
            Event((3, 4, 8), "integer", low=0, high=9),
            {"latent": 3, "hidden": (4, 8)},
        ),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        latent: int = 8,
        hidden: Sequence[int] | None = None,
    ) -> None:
        super().__init__(event, context_event, latent=latent, hidden=hidden or tuple(reversed(widths(event))))

    def _network(self) -> nn.Module:
        SkipNet.check(sides(self.event), len(self.hidden))
        return SkipNet(channels(self._given), channels(self.event), self.latent, self.hidden, bounded(self.event))

    def default_objective(self) -> Objective:
        from fairway.objectives.paired import Paired

        return Paired()
