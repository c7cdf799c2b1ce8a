"""Flows of images: levels that squeeze, move and let half of the channels go; RealNVP's and who else's.

    level:  Squeeze (C, H, W) -> (4C, H/2, W/2);  steps;  the second half of the channels is done     (RealNVP, 3.6)
    last:   the same, and all that is left becomes a row

28 x 28 pixels allow two levels (28, 14, 7), 32 x 32 five. RealNVP's steps are couplings under a checkerboard of the
pixels, then couplings of channels, each with a residual network. The checkerboard is taken after the squeeze, as a
choice among its four groups of channels: the same halves as before it, at a quarter of the pixels for the network.
"""

from collections.abc import Callable, Sequence

import torch

from fairway.core.event import Event
from fairway.models.flow.transforms.image_coupling import ImageCoupling
from fairway.models.flow.transforms.multi_scale import MultiScale
from fairway.models.flow.transforms.squeeze import Channels, Rows, Squeeze, squares
from fairway.models.flow.transforms.transform import Chain, Transform
from fairway.models.flow.transforms.univariate import affine
from fairway.networks.resnet import ResNet

Shape = tuple[int, int, int]
Steps = Callable[[Shape, bool], list[Transform]]
USUAL_LEVELS = 2
WAVES = 6  # cosine waves by which conditioners know where a pixel lies: 0.05 bits per dimension on garments


def image_shape(event: Event) -> Shape | None:
    """(C, H, W) of an event of images, None for others."""
    if not event.image:
        return None
    channels, height, width = [1] * (3 - len(event.shape)) + [s or 1 for s in event.shape]
    return channels, height, width


def largest_levels(event: Event) -> int:
    """How often an event's height and width can be halved; 0 for what is no image."""
    shape = image_shape(event)
    levels = 0
    while shape is not None and not any(side % 2 ** (levels + 1) for side in shape[1:]):
        levels += 1
    return levels


def checked_levels(event: Event, levels: int | None = None) -> int:
    """The levels asked for, or as many as are usual and possible; 0 means a flow of vectors.

    Raises:
        ValueError: more than the size allows.
    """
    most = largest_levels(event)
    if levels is None:
        return min(USUAL_LEVELS, most)
    if not isinstance(levels, int) or not 0 <= levels <= most:
        allowed = f"0 (a flow of vectors) to {most}" if most else "0 (a flow of vectors)"
        divisor = (
            f" it takes sides divisible by {2**levels}: pad or crop" if isinstance(levels, int) and levels > 0 else ""
        )
        raise ValueError(
            f"expected levels that the event can be squeezed, {allowed}; got levels={levels!r} for {event};{divisor}"
        )
    return levels


def multi_scale(shape: Shape, levels: int, steps: Steps) -> Transform:
    """`levels` nested levels from images (B, *shape) to rows (B, D).

    Args:
        shape: (C, H, W), divisible by 2^levels.
        levels: at least 1.
        steps: (shape after the squeeze, whether this is the last level) -> transforms of such images.
    """
    channels, height, width = shape
    inner = (4 * channels, height // 2, width // 2)
    links = [Squeeze(), *steps(inner, levels == 1)]
    if levels == 1:
        return Chain([*links, Rows(inner)])
    return MultiScale(Chain(links), multi_scale((inner[0] // 2, *inner[1:]), levels - 1, steps), inner)


def real_nvp_images(
    shape: Shape, levels: int, transforms: int, hidden: Sequence[int] = (32, 32), context: int = 0, dropout: float = 0.0
) -> Transform:
    """RealNVP's map from images (B, *shape) to rows (B, D).

    Args:
        shape: (C, H, W), divisible by 2^levels.
        levels: at least 1 (`checked_levels`).
        transforms: couplings of every level: the first half of them under a checkerboard, the others by channels.
        hidden, dropout: of each coupling's `ResNet`.
        context: entries of the context.
    """

    def coupling(channels: int, swap: bool) -> Transform:
        kept, moved = ImageCoupling.sizes(channels, swap)
        network = ResNet(kept, affine.parameters * moved, hidden, context, dropout, WAVES)
        return ImageCoupling(channels, affine, network, swap)

    def steps(inner: Shape, last: bool) -> list[Transform]:
        order = squares(inner[0] // 4)
        links = [coupling(inner[0], bool(i % 2)) for i in range(transforms)]
        half = (transforms + 1) // 2
        return [Channels(order), *links[:half], Channels(torch.argsort(order)), *links[half:]]

    return multi_scale(shape, levels, steps)
