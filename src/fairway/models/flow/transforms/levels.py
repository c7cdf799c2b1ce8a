"""Levels of an image without factoring out: squeeze, move, squeeze, move; all entries go on to the end.

    (C, H, W) -> (4C, H/2, W/2) -> steps -> (16C, H/4, W/4) -> steps -> ... -> (D,)

For maps that see all entries at once (residual blocks, masked convolutions), where nothing is gained by letting half of
the channels go early. No level at all is a flow of vectors.
"""

import math
from collections.abc import Callable

from fairway.models.flow.transforms.squeeze import Rows, Squeeze
from fairway.models.flow.transforms.transform import Chain, Transform

Steps = Callable[[tuple[int, ...]], list[Transform]]


def squeezed_levels(shape: tuple[int, ...], levels: int, steps: Steps) -> Transform:
    """The chain of all levels.

    Args:
        shape: (C, H, W), divisible by 2^levels, or (D,) for no level.
        levels: 0 for vectors.
        steps: what moves rows (B, *shape) of a level, from its shape.
    """
    if levels == 0:
        return Chain(steps((math.prod(shape),)))
    links: list[Transform] = []
    for _ in range(levels):
        shape = (4 * shape[0], shape[1] // 2, shape[2] // 2)
        links += [Squeeze(), *steps(shape)]
    return Chain([*links, Rows(shape)])
