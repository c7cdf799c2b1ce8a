"""Classifier-free guidance: draws that follow their context more than the model's own.

    phi = phi(nothing) + scale (phi(context) - phi(nothing))          scale 1: the model's own draw

phi is whatever the family predicts on its way to a draw: each that answers `HasGuidance` says what its own is. Beyond 1
the draws are typical of their context and less varied; they are not the model's, and a density says nothing about them.
Source: Ho and Salimans 2021, Classifier-Free Diffusion Guidance, eq. 6 (their w is scale - 1).
"""

import math
from typing import Any, ClassVar

from torch import Tensor

from fairway.core.capability import Capability, HasGuidance
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Pass


class Guided(Pass):
    """The model's own draw at a guidance scale.

    Args:
        scale: at least 0; 1 is the model's own draw, 0 ignores the context.

    Raises:
        ValueError: a scale that is not a number of at least 0.
    """

    requires: ClassVar[tuple[type[Capability], ...]] = (HasGuidance,)

    def __init__(self, scale: float = 2.0) -> None:
        if isinstance(scale, bool) or not 0 <= scale < math.inf:
            raise ValueError(f"expected a guidance scale of at least 0, got {scale!r}")
        self.scale = float(scale)

    def _draw(self, model: Any, n: int, context: Tensor | None, rows: Rows) -> Draws:
        drawn = model._sample_guided(n, context, rows, self.scale)
        return Draws(drawn, evaluations=float(model.strokes) * (1 if self.scale in (0.0, 1.0) else 2))
