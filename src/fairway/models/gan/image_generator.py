"""A generator that convolves where there are images, and is a perceptron elsewhere.

    images whose sides can be halved down to 4 pixels or more    DCGAN's pair, sides halved as often as that allows
    all else                                                     perceptrons

Images are carried to [-1, 1] and made by a tanh; an image on an unbounded range has scale 1 and no tanh.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.preprocessing import Preprocessing, symmetric
from fairway.models.gan.generator import PERCEPTRON, Generator
from fairway.networks.critic import MLPCritic
from fairway.networks.dcgan import ConvCritic, ConvGenerator, halvings

NARROW, WIDE = 64, 256  # channels at the largest and at the smallest size


class ImageGenerator(Generator):
    """Subclasses choose the norms and the objective.

    Args:
        event, context_event: see `Model`.
        latent: dimensions of the noise; None for 64 on images, and for as many as the data have, 64 at most, on tables.
        hidden: widths of the perceptron, or channels of the convolutions from the smallest picture on; None for a
            choice by size.
        act: activation of the perceptrons.
    """

    norm: ClassVar[str] = "none"
    critic_norm: ClassVar[str] = "none"

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        latent: int | None = None,
        hidden: Sequence[int] | None = None,
        act: str = "relu",
    ) -> None:
        chosen = min(max(event.dims, 2), 64) if latent is None else latent
        super().__init__(event, context_event, latent=chosen, hidden=hidden or widths(event), act=act)

    @property
    def convolves(self) -> bool:
        """Whether convolutions make the observations."""
        return halvings(self.event) > 0

    def preprocessing(self, event: Event) -> Preprocessing:
        return symmetric(event) if halvings(event) else super().preprocessing(event)

    def _network(self) -> nn.Module:
        if not self.convolves:
            return super()._network()
        squash = self.model_event.kind == "bounded" or self.event.kind in ("integer", "binary", "bounded")
        return ConvGenerator(self.event.shape, self.latent, self.context_dims, self.hidden, self.norm, squash)

    def default_critic(self, hidden: Sequence[int] | None, context: int) -> nn.Module:
        if not self.convolves:
            return MLPCritic(self.model_event.dims + context, hidden or PERCEPTRON, self.act)
        return ConvCritic(self.event.shape, context, hidden or tuple(reversed(self.hidden)), self.critic_norm)

    def _decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        if not self.convolves:
            return super()._decode(z, context)
        made: Tensor = self.network(z, context)
        return made.to(z.dtype)


def widths(event: Event) -> tuple[int, ...]:
    """Of a perceptron, or channels at each size from the smallest.

    >>> widths(Event((28, 28))), widths(Event((3, 32, 32)))
    ((128, 64), (256, 128, 64))
    """
    count = halvings(event)
    return tuple(min(NARROW * 2 ** (count - 1 - i), WIDE) for i in range(count)) or PERCEPTRON
