"""The network of a denoiser whose user brings none: a perceptron for tables, a U-Net for images.

images of 8 pixels a side or more    U-Net; sizes are halved until about 8 pixels are left, 32 channels at the
                                     largest, twice as many at each next, 128 at most
all else                             perceptron with three residual blocks of 256
"""

import math
from collections.abc import Sequence

from torch import nn

from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.preprocessing import Preprocessing, continuous, dequantised
from fairway.networks.time_mlp import TimeMLP
from fairway.networks.unet import UNet

LEAST_SIDE, LEFT = 8, 8  # pixels a side: of what counts as an image, and of the smallest size
PERCEPTRON, LARGEST, MOST = (256, 256, 256), 32, 128
CONTEXT_DROPOUT = 0.1  # between the 0.1 and 0.2 that Ho and Salimans (2021, section 4.1) found best


def default_network(
    model: Model, hidden: Sequence[int] | None = None, context_dropout: float = CONTEXT_DROPOUT, outputs: int = 1
) -> nn.Module:
    """(u (B, *U), t (B,), context (B, ...) or None) -> (B, outputs U_1, ...).

    Args:
        model: whose network it will be; its events say what u and the context are.
        hidden: widths of the perceptron's blocks, or channels of the U-Net at each size; None for those above.
        context_dropout: share of rows that lose their context in training.
        outputs: answers as large as u.
    """
    event, given = (
        model.model_event,
        0 if model.context_preprocess is None else model.context_preprocess.model_event.dims,
    )
    if not shows_images(event):
        return TimeMLP(event.dims, given, hidden or PERCEPTRON, context_dropout=context_dropout, outputs=outputs)
    channels = event.shape[0] if len(event.shape) == 3 else 1
    return UNet(channels or 1, given, hidden or sizes(event), context_dropout=context_dropout, outputs=outputs)


def shows_images(event: Event) -> bool:
    """Whether the sides, known and 8 or more, are worth convolutions."""
    return event.image and min(side or 0 for side in event.shape[-2:]) >= LEAST_SIDE


def units(event: Event) -> Preprocessing:
    """Grey levels of images keep their own scale: what looks alike is near, and no level is stretched."""
    return dequantised(event) if event.counted and shows_images(event) else continuous(event)


def sizes(event: Event) -> tuple[int, ...]:
    """Channels at each size.

    >>> sizes(Event((8, 8))), sizes(Event((28, 28))), sizes(Event((3, 64, 64)))
    ((32, 64), (32, 64, 128), (32, 64, 128, 128))
    """
    side = min(side or 1 for side in event.shape[-2:])
    halvings = max(round(math.log2(side / LEFT)), 1)
    return tuple(min(LARGEST * 2**level, MOST) for level in range(halvings + 1))
