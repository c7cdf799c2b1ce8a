"""A classifier and the density it hides, learned together.

    log p(u, y) = log p(y | u) + log p(u)        each half in its own way (Grathwohl et al. 2020, section 4)

The first is the cross-entropy of a classifier, exact and cheap. The second has an intractable Z, so it learns by
persistent chains of the marginal f(u) = logsumexp_y g(u)[y] (`persistent`). The sum per entry of u, in nats:

    L = w E_data[-log p(y | u)] / D  +  C(f),       C as in `energy_contrast`

Learning p(u | y) per class instead would leave the classifier to the chains, which is unbiased too but noisy.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from fairway.core.objective import Batch, Loss, Phase
from fairway.core.random import Rows
from fairway.networks.joined import joined
from fairway.objectives.persistent import PersistentContrastiveDivergence
from fairway.samplers.kernel import Kernel


class JointEnergy(PersistentContrastiveDivergence):
    """Cross-entropy of the class and persistent chains of the marginal, for models with `_logits(u)` (B, K).

    Args:
        weight: of the cross-entropy.
        chains, steps, reborn, jumps, penalty, kernel, noise: as for `PersistentContrastiveDivergence`.
    """

    def __init__(
        self,
        weight: float = 1.0,
        chains: int = 1024,
        steps: int = 5,
        reborn: float = 0.01,
        jumps: int = 1,
        penalty: float = 0.003,
        kernel: Kernel | None = None,
        noise: float = 0.0,
    ) -> None:
        super().__init__(
            chains=chains, steps=steps, reborn=reborn, jumps=jumps, penalty=penalty, kernel=kernel, noise=noise
        )
        if weight < 0:
            raise ValueError(f"expected a weight >= 0, got {weight}")
        self.weight = weight

    def check(self, model: Any) -> None:
        """Whether the model is a classifier with an energy.

        Raises:
            TypeError: a model without logits of classes.
        """
        super().check(model)
        if not hasattr(model, "_logits") or getattr(model.context_event, "kind", None) != "category":
            raise TypeError(f"{self.name()} needs a model with logits of classes, such as joint; got {model.name()}")

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        total, terms = super().loss(batch.with_context(None), model, phase=phase, generator=generator)
        assert batch.context is not None
        logits, label = model._logits(batch.u), joined(batch.context)
        cross_entropy = batch.mean(-(label * F.log_softmax(logits, 1)).sum(1))
        right = batch.mean((logits.argmax(1) == label.argmax(1)).to(batch.u.dtype))
        own: dict[str, Tensor] = {"cross_entropy": cross_entropy, "accuracy": right}
        return Loss(total + self.weight * cross_entropy / model.model_event.dims, {**terms, **own})
