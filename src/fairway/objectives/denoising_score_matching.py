"""Denoising score matching at one noise level: an energy learns to point back to where noise has pushed a row from.

    J = E_u E_e |sigma s(u + sigma e) + e|^2 / 2,      s = grad log p,   e ~ N(0, I)

has the minimum of score matching on the data's law after noise N(0, sigma^2) (Vincent 2011, eq. 9 to 11): no trace,
no chain and no Z. What is learned is the noisy law, so sigma is a bias; u + sigma^2 s(u) takes the noise off again.
Between modes that lie further apart than sigma there are no rows, and nothing says what share each has: chains, or all
levels at once (`models.ncsn`), do.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasScore
from fairway.core.objective import Batch, Loss, Objective, Optimisation, Phase
from fairway.core.random import Rows


class DenoisingScoreMatching(Objective):
    """Denoising score matching, per entry, of a model that has a score.

    Args:
        sigma: standard deviation of the noise, model units.

    Raises:
        ValueError: a sigma that is not positive.
    """

    requires = (HasScore,)
    monitor = "loss"
    optimisation = Optimisation(lr=2e-3, ema=0.99)
    traceable = False  # slopes of slopes

    def __init__(self, sigma: float = 0.1) -> None:
        super().__init__()
        if sigma <= 0:
            raise ValueError(f"expected a positive sigma, got {sigma}")
        self.sigma = sigma

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        noise = generator.normal(*batch.u.shape[1:])
        with torch.enable_grad():
            u = (batch.u + self.sigma * noise).detach().requires_grad_()
            s: Tensor = model._score(u, batch.context)
        error = batch.mean((self.sigma * s + noise).flatten(1).square().sum(1)) / 2 / model.model_event.dims
        return Loss(error, {"error": error})
