"""Maximum likelihood: minimise -E_data[log p(u)], which is KL(data || model) up to the data's entropy.

For counted data under a continuous model the expectation is over the dequantised value, hence over a lower bound.
"""

from typing import Any

from fairway.core.capability import HasLogProb
from fairway.core.objective import Batch, Loss, Objective, Phase
from fairway.core.random import Rows


class MLE(Objective):
    """Negative log-likelihood, nats per entry of the model's event."""

    requires = (HasLogProb,)

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        nll = batch.mean(-model._log_prob(batch.u, batch.context)) / model.model_event.dims
        return Loss(nll, {"nll": nll})
