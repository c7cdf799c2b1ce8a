"""DCGAN: a generator and a critic of strided convolutions and batch norm (Radford, Metz and Chintala 2016).

    z ~ N(0, I)  ->  h (C, s, s)  ->  twice the side by each transposed convolution  ->  tanh, images in [-1, 1]

The non-saturating loss, Adam with learning rate 2e-4 and beta_1 = 0.5, batch norm everywhere but at both ends; z is
normal rather than uniform, so that a straight line between two latents is left for a great circle (`interpolate` and
`slerp` in `applications.interpolation`). Differences of mean latents add up (section 6.3.2): `combine`, also there.
"""

from typing import ClassVar

from fairway.core.case import Case
from fairway.core.event import Event
from fairway.core.objective import Objective, Optimisation
from fairway.models.gan.image_generator import ImageGenerator
from fairway.networks.dcgan import halvings


class DCGAN(ImageGenerator):
    """Images whose sides can be halved down to 4 pixels or more, any number of channels: 28, 32 and 64 pixels, say.

    Args: as `ImageGenerator`.

    Raises:
        ValueError: what is no image, or of sides that convolutions of stride 2 cannot make.
    """

    cites = ("radford2016dcgan",)
    norm, critic_norm = "batch", "batch"
    optimisation = Optimisation(lr=2e-4, betas=(0.5, 0.999), clip=None, ema=0.999, schedule="constant")
    tiny: ClassVar[list[Case]] = [
        Case(Event((8, 8), "integer", low=0, high=16), None, {"latent": 4, "hidden": (8,)}),
        Case(Event((2, 8, 12), "bounded", low=0.0, high=1.0), Event((2,)), {"latent": 4, "hidden": (8,)}),
    ]

    def _check_events(self, event: Event, context_event: Event | None) -> None:
        super()._check_events(event, context_event)
        if not halvings(event):
            raise ValueError(
                f"dcgan takes images (C, H, W) or (H, W) of sides that can be halved down to 4 pixels or more, such as "
                f"28, 32 or 64; got {event}: pad or resize them, or take r3gan for tables"
            )

    def default_objective(self) -> Objective:
        from fairway.objectives.adversarial import Adversarial

        return Adversarial("non_saturating", "none", critic_steps=1)
