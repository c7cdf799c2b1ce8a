"""ProGAN: a generator that draws small pictures first and finer ones later (Karras et al. 2018).

    7 x 7  ->  14 x 14  ->  28 x 28        each size faded into the one before it, by generator and critic alike

What is common to all pictures of a data set is learned at sizes where it is cheap, and each new size has to add detail
alone. Layers of equalised learning rate, no norm over the batch: pixels are normed in the generator, and the critic
sees how much a group of rows varies. See `networks.progan`, `networks.growth` and `objectives.progressive`.

The losses are not the paper's. On 8 x 8 digits, after 800 steps, Wasserstein losses with a gradient penalty (which
`Progressive()` has) left a Fréchet distance of 2.4 and 2.0 in a classifier's features (two seeds), relativistic ones
with a penalty on both sides 1.4 and 1.5, in the same time. Drawn at full size from the start the latter came to 1.4,
too, and took a fifth longer: growing saves time, the more the larger the picture.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from fairway.core.case import Case
from fairway.core.event import Event
from fairway.core.objective import Objective, Optimisation
from fairway.models.gan.image_generator import ImageGenerator
from fairway.models.gan.r3gan import GAMMA_OF_IMAGES
from fairway.networks.dcgan import halvings
from fairway.networks.growth import Growth
from fairway.networks.progan import ProGANCritic, ProGANGenerator

NARROW, WIDE = 32, 128  # channels at the largest size, and at most


class ProGAN(ImageGenerator):
    """Images whose sides can be halved down to 4 pixels or more, drawn at every such size on the way.

    A model as built is grown; its objective begins with the smallest size. After fewer steps than it takes to grow,
    draws are those of the present size, copied up to the full one.

    Args:
        event, context_event, latent: as `ImageGenerator`.
        hidden: channels at each size, from the smallest; None for a choice, of as many sizes as there are.
        grow: steps of each size but the last, half of them to fade it in; 0 for none.

    Raises:
        ValueError: what is no image, or of sides that cannot be halved so often.
    """

    cites = ("karras2018progan",)
    optimisation = Optimisation(lr=4e-3, betas=(0.0, 0.99), clip=None, ema=0.999, schedule="constant")
    tiny: ClassVar[list[Case]] = [
        Case(Event((8, 8), "integer", low=0, high=16), None, {"latent": 4, "hidden": (8, 6), "grow": 4}),
        Case(Event((2, 8, 12), "bounded", low=0.0, high=1.0), Event((2,)), {"latent": 4, "hidden": (6, 6), "grow": 4}),
    ]

    network: ProGANGenerator

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        latent: int | None = None,
        hidden: Sequence[int] | None = None,
        grow: int = 600,
    ) -> None:
        self.grow = grow  # for `_network`, which the base calls
        super().__init__(event, context_event, latent=latent, hidden=hidden or _widths(event))

    @property
    def convolves(self) -> bool:
        return True

    @property
    def growth(self) -> Growth:
        """The size it draws at."""
        return self.network.growth

    def _network(self) -> nn.Module:
        return ProGANGenerator(self.event.shape, self.latent, self.context_dims, self.hidden, self.grow)

    def default_critic(self, hidden: Sequence[int] | None, context: int) -> nn.Module:
        return ProGANCritic(self.event.shape, context, hidden or self.hidden[::-1])

    def default_objective(self) -> Objective:
        from fairway.objectives.progressive import Progressive

        return Progressive("relativistic", "r1_r2", weight=GAMMA_OF_IMAGES)


def _widths(event: Event) -> tuple[int, ...]:
    """Channels at each size, from the smallest."""
    count = halvings(event) or 3  # what cannot be halved is refused by the network
    return tuple(min(NARROW * 2 ** (count - i), WIDE) for i in range(count + 1))
