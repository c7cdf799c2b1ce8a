"""What regressions on noised rows share: batches of many rows of a table and of fewer images, and averaged weights.

Every row is seen at one noise level of all, so gradients are noisy, and a table's rows cost little: per second of a
processor, batches of 256 learn more of a table than batches of 64. An image has many entries, a regression each.
"""

from typing import Any

from fairway.core.objective import Objective, Optimisation

TABLE, IMAGE = 256, 64  # rows


class NoiseRegression(Objective):
    """Subclasses give the loss."""

    monitor = "loss"
    optimisation = Optimisation(lr=2e-3, ema=0.995)

    def batch_size_of(self, model: Any) -> int:
        """Many rows of a table, fewer images."""
        return IMAGE if model.model_event.image else TABLE
