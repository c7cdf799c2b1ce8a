"""Maximum likelihood of data with a little noise: minimise -E log p(u + noise eps), eps ~ N(0, I).

Its minimiser is the data's law blurred by N(0, noise^2 I), which has a density even where the data lie on a surface:
the flow spends nothing on infinitely thin directions. Draws are noisy likewise; `samplers.Tweedie` with the same
noise takes it off. Source: Zhai et al. 2024, Normalizing Flows are Capable Generative Models.
"""

import math
from dataclasses import replace
from typing import Any

from fairway.core.objective import Batch, Loss, Phase
from fairway.core.random import Rows
from fairway.objectives.mle import MLE


class NoisyMLE(MLE):
    """Negative log-likelihood of noisy data, nats per entry of the model's event.

    Args:
        noise: standard deviation in model units, where tables have scale 1; at least 0.

    Raises:
        ValueError: a noise that is not a number of at least 0.
    """

    def __init__(self, noise: float = 0.05) -> None:
        super().__init__()
        if isinstance(noise, bool) or not 0 <= noise < math.inf:
            raise ValueError(f"expected noise as a standard deviation of at least 0, got {noise!r}")
        self.noise = float(noise)

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        eps = generator.normal(*batch.u.shape[1:])
        return super().loss(replace(batch, u=batch.u + self.noise * eps), model, phase=phase, generator=generator)
