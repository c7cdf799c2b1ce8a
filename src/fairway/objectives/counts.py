"""Learning by counting: one pass over the rows, no gradient.

For tables of probabilities the maximum likelihood estimate is a share of counts; a smoothing of a pseudo-rows per level
keeps unseen levels possible. Where processes share the rows, counts and log-likelihoods are those of all rows.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core import parallel
from fairway.core.objective import Batch, Solver
from fairway.core.random import Rows


class Counts(Solver):
    """One call of the model's own `count`.

    Args:
        smoothing: pseudo-rows per level (1 is Laplace's).
    """

    counted: Tensor

    def __init__(self, smoothing: float = 1.0) -> None:
        super().__init__()
        if not smoothing >= 0:
            raise ValueError(f"expected smoothing as a number of rows >= 0, got {smoothing}")
        self.smoothing = smoothing
        self.register_buffer("counted", torch.zeros((), dtype=torch.bool))

    def start(self, model: Any, data: Batch, rows: Rows) -> None:
        if not hasattr(model, "count"):
            raise TypeError(f"counts learns tables of probabilities (independent); got {model.name()}")
        self.counted.fill_(False)

    @torch.no_grad()
    def step(self, model: Any, data: Batch) -> dict[str, float]:
        model.count(data, self.smoothing)
        self.counted.fill_(True)
        log_prob = model._log_prob(data.u).double()
        weight = torch.ones_like(log_prob) if data.weight is None else data.weight.double()
        sums = parallel.total(torch.stack([(log_prob * weight).sum(), weight.sum()]))
        return {"loss": -float(sums[0] / sums[1]) / model.model_event.dims}

    def done(self) -> bool:
        return bool(self.counted)
