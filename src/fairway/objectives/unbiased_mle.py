"""Maximum likelihood where the log density is known by an unbiased estimate, value and gradient.

    minimise -E_data E_noise[estimate(u)],    E_noise[estimate(u)] = log p(u)

A model gives `_log_prob_estimate(u, context, rows) -> (B,)`; all its noise comes from `rows`. Held-out rows are judged
by the same estimate under a fixed seed, whose errors are independent from row to row and so average out.
"""

from typing import Any

from fairway.core.capability import CapabilityError, HasLogProb
from fairway.core.objective import Batch, Loss, Objective, Phase
from fairway.core.random import Rows


class UnbiasedMLE(Objective):
    """Negative log-likelihood by an unbiased estimate, nats per entry of the model's event."""

    requires = (HasLogProb,)
    traceable = False  # a random number of terms

    def check(self, model: Any) -> None:
        super().check(model)
        if not hasattr(model, "_log_prob_estimate"):
            raise CapabilityError(f"{self.name()} needs a model with an unbiased estimate; {model.name()} takes mle")

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        log_prob = model._log_prob_estimate(batch.u, batch.context, generator)
        nll = batch.mean(-log_prob) / model.model_event.dims
        return Loss(nll, {"nll": nll})
