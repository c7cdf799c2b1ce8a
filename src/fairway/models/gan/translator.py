"""A generator that makes an image of an image, and of a little noise.

    u = g(c, z),   z ~ N(0, I)              c an image of the context's law, u one of the event's, of the same sides

Labels (a map of classes, say) come as planes, one per level. What leaves is in [-1, 1], made by a tanh, where the event
has a range; `translate` takes z = 0, one picture for each context. A critic that knows the context is shown it beside
the image, channel by channel. Shapes: z (B, latent), c (B, C, H, W) or (B, H, W), u likewise.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fairway.core.arrays import as_tensor
from fairway.core.event import Event
from fairway.core.preprocessing import Preprocessing, symmetric
from fairway.models.gan.generator import Generator
from fairway.networks.patch_critic import PatchCritic

LEVELS = ("category", "tokens")  # kinds of contexts that come as one plane per level
SIZES = 3  # of pictures in a critic, whose patches are then 38 pixels a side at most


class Translator(Generator):
    """Subclasses give the network and the objective.

    Args:
        event: an image, (C, H, W) or (H, W).
        context_event: an image of the same sides, of any channels and kind.
        latent: entries of the noise. hidden: channels at each size, from the largest.

    Raises:
        ValueError: what is no image, a missing context, or images of different sides.
    """

    accepts_context = (*Generator.accepts, *LEVELS)  # type: ignore[assignment]
    critic_norm: ClassVar[str] = "instance"
    without_context: ClassVar[str] = "pass context=... (images of the same sides)"

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        latent: int = 8,
        hidden: Sequence[int] = (64, 128),
    ) -> None:
        super().__init__(event, context_event, latent=latent, hidden=hidden, act="relu")

    @abstractmethod
    def _network(self) -> nn.Module:
        """(images, z) -> images."""

    def _check_events(self, event: Event, context_event: Event | None) -> None:
        super()._check_events(event, context_event)
        if context_event is None:
            raise ValueError(f"{self.name()} makes images of images: {self.without_context}; got no context")
        for what, given in (("images", event), ("context images", context_event)):
            if not given.image or None in given.shape:
                raise ValueError(f"expected {what} (C, H, W) or (H, W) of known sides, got {given}")
        if sides(event) != sides(context_event):
            raise ValueError(
                f"expected context images of the event's sides {sides(event)}, got {sides(context_event)}: resize one"
            )

    def preprocessing(self, event: Event) -> Preprocessing:
        return symmetric(event)

    def default_critic(self, hidden: Sequence[int] | None, context: int) -> nn.Module:
        chosen = tuple(hidden or self.hidden[: max(fitting(self.event), 1)])
        PatchCritic.check(sides(self.event), len(chosen))
        return PatchCritic(channels(self.event), channels(self._given) if context else 0, chosen, self.critic_norm)

    @property
    def _given(self) -> Event:
        assert self.context_event is not None  # see `_check_events`
        return self.context_event

    def translate(self, x: Any) -> Tensor:
        """The image that belongs to one, without noise: (*L, *C) -> (*L, *E), data units."""
        context = self._given.check(as_tensor(x, "context"), "context")
        lead = context.shape[: context.ndim - len(self._given.shape)]
        return self.decode(torch.zeros(*lead, self.latent), context)

    def _context(self, context: Tensor) -> Tensor:
        if self._given.kind not in LEVELS:
            return context
        planes = context.movedim(-1, -3)  # (B, K, H, W) or (B, C, K, H, W)
        return planes if planes.ndim == 4 else planes.flatten(1, 2)

    def _decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        assert context is not None  # see `_check_events`
        return translated(self.network, context, z, self.model_event)


def translated(network: nn.Module, image: Tensor, z: Tensor, event: Event) -> Tensor:
    """What a network makes of images (B, ...) and noise (B, latent), as (B, *event.shape)."""
    made: Tensor = network(image, z)
    return made.to(z.dtype).reshape(len(z), *(side or 0 for side in event.shape))


def sides(event: Event) -> tuple[int, int]:
    """Height and width of an image."""
    height, width = (int(side or 0) for side in event.shape[-2:])
    return height, width


def fitting(event: Event) -> int:
    """Halvings of a critic of patches: as many as leave 2 pixels a side or more, 3 at most."""
    return min(SIZES, min(sides(event)).bit_length() - 2)


def channels(event: Event) -> int:
    """Planes that an image makes in a network: its channels, and as many for each as it has levels to tell apart.

    >>> channels(Event((8, 8))), channels(Event((3, 8, 8))), channels(Event((8, 8), "category", levels=5))
    (1, 3, 5)
    """
    own = int(event.shape[0] or 0) if len(event.shape) == 3 else 1
    return own * (event.levels or 1) if event.kind in LEVELS else own


def bounded(event: Event) -> bool:
    """Whether its values have a range, which `symmetric` carries to [-1, 1]."""
    return event.kind == "bounded" or (event.counted and event.levels is not None)
