"""Draws at a temperature: below 1 fewer and more typical ones, above 1 wilder ones.

Of a flow it is the base's noise that is scaled (Kingma and Dhariwal 2018, Glow, section 6); each family that answers
`HasTemperature` says what its own is. At 1 the draws are the model's, at any other temperature they are not: a density
says nothing about them.
"""

import math
from typing import Any, ClassVar

from torch import Tensor

from fairway.core.capability import Capability, HasTemperature
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Pass


class Temperature(Pass):
    """The model's own draw at a temperature.

    Args:
        temperature: above 0; 0.7 is usual for pictures.

    Raises:
        ValueError: a temperature that is not a positive number.
    """

    requires: ClassVar[tuple[type[Capability], ...]] = (HasTemperature,)

    def __init__(self, temperature: float = 0.7) -> None:
        if isinstance(temperature, bool) or not 0 < temperature < math.inf:
            raise ValueError(f"expected a temperature above 0, got {temperature!r}")
        self.temperature = float(temperature)

    def _draw(self, model: Any, n: int, context: Tensor | None, rows: Rows) -> Draws:
        drawn = model._sample_at(n, context, rows, self.temperature)
        return Draws(drawn, evaluations=float(model.strokes), effective_temperature=self.temperature)
