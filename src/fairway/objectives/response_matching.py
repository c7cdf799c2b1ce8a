"""Multipliers of fixed statistics, moved until the means of data and of chains agree.

    d/dlambda E_data[log p(u)] / D = E_data[h(u)] - E_p[h(u)],       log p = D lambda . h + log q - log Z

which is persistent contrastive divergence with a likelihood that is concave: nothing to hold down (no penalty), and no
births but the first, since chains born late would not yet be draws of p and would be counted into its means. That the
chains go on from where they were is the stochastic approximation of Younes 1999.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.objective import Batch, Loss, Phase
from fairway.core.random import Rows
from fairway.objectives.persistent import PersistentContrastiveDivergence
from fairway.samplers.driver import Run
from fairway.samplers.kernel import Kernel

IMAGES = 16  # of a batch


class ResponseMatching(PersistentContrastiveDivergence):
    """Persistent chains for models with `_responses(u)` (B, K); logs `response_gap`, the largest difference of a mean.

    Args:
        chains, steps, jumps, kernel: as for `PersistentContrastiveDivergence`.
    """

    def __init__(self, chains: int = 512, steps: int = 5, jumps: int = 1, kernel: Kernel | None = None) -> None:
        super().__init__(chains=chains, steps=steps, reborn=0.0, jumps=jumps, penalty=0.0, kernel=kernel)

    def batch_size_of(self, model: Any) -> int:
        """Fewer rows of images, each of which is many draws of a texture."""
        return IMAGES if model.model_event.image else self.batch_size

    def check(self, model: Any) -> None:
        """Whether the model has statistics and an energy.

        Raises:
            TypeError: a model without responses.
        """
        super().check(model)
        if not hasattr(model, "_responses"):
            raise TypeError(f"{self.name()} needs a model with fixed statistics, such as frame; got {model.name()}")

    def _chains(self, batch: Batch, model: Any, rows: Rows) -> tuple[Run, Tensor]:
        run, contexts = super()._chains(batch, model, rows)
        real, fake = (model._responses(u) for u in (batch.u, run.state.u.to(batch.u.dtype)))
        weight = torch.ones_like(batch.u.flatten(1)[:, :1]) if batch.weight is None else batch.weight.unsqueeze(1)
        self._gap = ((real * weight).sum(0) / weight.sum() - fake.mean(0)).abs().amax()
        return run, contexts

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        total, terms = super().loss(batch, model, phase=phase, generator=generator)
        return Loss(total, {**terms, "response_gap": self._gap})
