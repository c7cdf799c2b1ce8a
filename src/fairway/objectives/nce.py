"""Noise-contrastive estimation: tell data from a noise that you know, and what is left is the density.

    l(u) = log p(u) - log q(u) - log nu,      C = E_data[softplus(-l)] + nu E_q[softplus(l)]

q: normalised, and drawn from directly; nu: draws of it per row. The logit that tells a row from a draw best is the log
ratio of the densities, log data/(nu q): a classifier with logit log p - log q - log nu learns p, and since the
scale of p counts in it, its normaliser, too (Gutmann & Hyvaerinen 2012, theorem 1). Here the model is exp(f) q / Z with
q its reference, so the logit is f - log nu and nothing of q is asked but draws; where f has learned, log Z is 0.

The nearer q is to the data, the fewer draws are wasted: a Gaussian does in two dimensions, in sixty a mixture or a flow
is needed. A flow can go on learning by its likelihood while f learns what it still gets wrong (`rival=True`, in the
spirit of Gao et al. 2020, Flow Contrastive Estimation). No chain is needed, hence no number of a chain's health either.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fairway.core.capability import CapabilityError, HasEnergy, HasLogProb
from fairway.core.objective import Batch, Loss, Objective, Optimisation, Phase
from fairway.core.random import Rows


class NCE(Objective):
    """Logistic regression of data against draws of the model's reference.

    Args:
        noise: nu, draws of the reference per row of data.
        rival: the reference goes on learning, a step of its likelihood after every step of f.

    Raises:
        CapabilityError: a model that is not exp(f) q / Z with a q that can be drawn from (`_births`, `_tilt`), and f a
            `network` with a level of its own.
    """

    requires = (HasEnergy,)
    monitor = "loss"
    stops_early = False
    optimisation = Optimisation(lr=1.5e-3, betas=(0.9, 0.99), ema=0.99)
    batch_size = 512

    def __init__(self, noise: int = 1, rival: bool = False) -> None:
        super().__init__()
        if noise < 1:
            raise ValueError(f"expected noise of at least 1 draw per row, got {noise}")
        self.noise, self.rival = noise, rival

    def check(self, model: Any) -> None:
        super().check(model)
        if not all(hasattr(model, n) for n in ("_births", "_tilt", "network")) or not getattr(
            model, "free_level", True
        ):
            raise CapabilityError(
                f"nce needs exp(f) q / Z with a q to draw from and an f of free level (ebm); got {model.name()}"
            )
        learned = getattr(model, "reference", None)
        if self.rival and not (isinstance(learned, HasLogProb) and any(True for _ in learned.parameters())):
            raise CapabilityError("rival=True needs a reference that learns: ebm with reference='nsf' or 'gmm'")

    def phases(self, model: Any) -> Sequence[Phase]:
        return (Phase(), Phase("reference")) if self.rival else (Phase(),)

    def players(self, model: Any) -> dict[str, Any]:
        return {"model": model.network, "reference": model.reference} if self.rival else {"model": model.network}

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        if phase.player == "reference":
            own = -batch.mean(model.reference._log_prob(batch.u, None)) / model.model_event.dims
            return Loss(own, {"reference": own})
        with torch.no_grad():
            noise = [model._births(generator.spawn(k)) for k in range(self.noise)]
        logits = self._logits(batch, model, torch.cat([batch.u, *noise]))
        real, fake = logits.tensor_split([len(batch)])
        parts = batch.mean(F.softplus(-real)), self.noise * F.softplus(fake).mean()
        accuracy = 0.5 * ((real > 0).float().mean() + (fake < 0).float().mean())
        gap = real.mean() - fake.mean()
        return Loss(parts[0] + parts[1], {"data": parts[0], "noise": parts[1], "accuracy": accuracy, "gap": gap})

    def _logits(self, batch: Batch, model: Any, u: Tensor) -> Tensor:
        """log p - log q - log nu at rows u, the batch's and as many draws per row as there are."""
        rounds = len(u) // len(batch)
        given = None if batch.context is None else batch.context.repeat(rounds, *[1] * (batch.context.ndim - 1))
        logits: Tensor = model._tilt(u, given) - math.log(self.noise)
        return logits
