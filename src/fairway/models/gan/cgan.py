"""The conditional GAN: generator and critic are told a context (Mirza and Osindero 2014).

    min_g max_d  E log sigma(d(u, c)) + E log(1 - sigma(d(g(z, c), c)))            over pairs (u, c) of the data

The context is a class, numbers or an image; what is generated may be an image of a class, or, the other way round, the
tags of an image: a binary event given pixels. The generator plays the non-saturating loss; a zero-centred penalty on
both sides keeps the game near its fixed point. Vectors are told the context side by side, the convolutional critic by
projection (Miyato and Koyama 2018).
"""

from typing import ClassVar

from fairway.core.case import Case
from fairway.core.event import Event
from fairway.core.objective import Objective, Optimisation
from fairway.models.gan.image_generator import ImageGenerator
from fairway.models.gan.r3gan import GAMMA

GAMMA_OF_IMAGES = (0.3, 0.03)


class CGAN(ImageGenerator):
    """A generator given a context: images of a class, tags of an image.

    Args: as `ImageGenerator`; a context is required.

    Raises:
        ValueError: no context.
    """

    cites = ("mirza2014cgan",)
    norm = "pixel"
    tiny: ClassVar[list[Case]] = [
        Case(Event((8, 8), "integer", low=0, high=16), Event((), "category", levels=3), {"latent": 4, "hidden": (8,)}),
        Case(Event((5,), "binary"), Event((2, 4, 4), "bounded", low=0.0, high=1.0), {"latent": 3, "hidden": (8,)}),
    ]

    @property
    def optimisation(self) -> Optimisation:
        """Of both players; on garments 1e-3 and 4e-3 are worse than 2e-3."""
        return Optimisation(lr=2e-3 if self.convolves else 1e-3, betas=(0.0, 0.99), clip=None, ema=0.999)

    def _check_events(self, event: Event, context_event: Event | None) -> None:
        super()._check_events(event, context_event)
        if context_event is None:
            raise ValueError("cgan generates given something: pass context=... (class labels, say), or take r3gan")

    def default_objective(self) -> Objective:
        from fairway.objectives.adversarial import Adversarial

        weight = GAMMA_OF_IMAGES if self.convolves else GAMMA
        return Adversarial("non_saturating", "r1_r2", weight=weight, critic_steps=1)
