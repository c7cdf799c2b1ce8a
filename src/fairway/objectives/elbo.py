"""The evidence lower bound: minimise the named costs of a model's bound, each with its weight.

    L = E_data[ reconstruction + w kl ] / dims,      w = beta min(1, step / warm_up) in training, beta on held-out rows

At beta = 1 this is -bound per entry, an upper bound on the negative log-likelihood (Kingma and Welling 2014). Larger
beta asks for posteriors nearer the prior (Higgins et al. 2017), smaller for sharper reconstructions; either way
`model.bound` still reports beta = 1. A warm-up lets the decoder use the latent before the KL closes it (Bowman et al.
2016): without one, a ring of eight Gaussians in 2-D is fitted by a single Gaussian that ignores z, 1.3 nats worse.
Weights belong here, not to the model: the model only names its costs, in nats.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasBound
from fairway.core.objective import Batch, Loss, Objective, Optimisation, Phase
from fairway.core.random import Rows


class ELBO(Objective):
    """Minus the weighted bound, nats per entry of the model's event.

    Args:
        beta: weight of the cost named "kl".
        warm_up: steps over which that weight grows from 0 to beta in training; 0 for none.
    """

    requires = (HasBound,)
    optimisation = Optimisation(lr=3e-3)
    steps: Tensor

    def __init__(self, beta: float = 1.0, warm_up: int = 300) -> None:
        super().__init__()
        if beta < 0 or warm_up < 0:
            raise ValueError(f"expected beta >= 0 and warm_up >= 0, got beta={beta}, warm_up={warm_up}")
        self.beta, self.warm_up = beta, warm_up
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def phases(self, model: Any) -> tuple[Phase, ...]:
        return (Phase(after=self._count),)

    def _count(self, model: Any) -> None:
        self.steps += 1

    def weights(self, training: bool) -> dict[str, Tensor | float]:
        """Weights by the cost's name; 1 where none is given."""
        if not training or not self.warm_up:
            return {"kl": self.beta}
        return {"kl": self.beta * (self.steps / self.warm_up).clamp(max=1)}

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        costs = model._bound_terms(batch.u, batch.context, generator)
        terms = {name: batch.mean(cost) / model.model_event.dims for name, cost in costs.items()}
        weights = self.weights(model.training)
        return Loss(sum(weights.get(name, 1.0) * term for name, term in terms.items()), terms)
