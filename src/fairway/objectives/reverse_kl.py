"""The reverse divergence: fit a model q to a density that is known up to a constant, without data.

    L = E_{u ~ q}[ log q(u) - beta log p~(u) ] / dims,      log Z = log int p~(u) du

At beta = 1 this is (KL(q || p) - log Z) / dims: minus L dims is a lower bound on log Z, reached where q = p. Draws are
reparameterised, u = T^-1(z), so that the gradient flows through them and through log p~. A model that cannot cover all
of p keeps to a part of it: KL(q || p) charges q for mass where p has none, not for modes that it leaves out. Tempering
helps it to see them first: beta grows from 0.01 to 1 over the first steps of training (Rezende and Mohamed 2015,
equation 20).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fairway.core.capability import HasReparameterised
from fairway.core.objective import Batch, Loss, Objective, Phase
from fairway.core.random import Rows

COLDEST, HOTTEST = 1.0, 0.01  # inverse temperatures


class Density(nn.Module):
    """A function as a module, so that a run's configuration can name it as external."""

    def __init__(self, log_prob: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.log_prob = log_prob

    def forward(self, u: Tensor) -> Tensor:
        """(B, *U) -> (B,)."""
        return self.log_prob(u)


class ReverseKL(Objective):
    """KL(model || target) less log Z, nats per entry; the rows of a batch only say how many draws there are.

    Args:
        target: log p~, a function or a module u (B, *U) -> (B,), nats, differentiable, in model units.
        warm_up: steps over which the target's inverse temperature grows to 1; 0 for none.

    Raises:
        ValueError: a negative warm-up.
    """

    requires = (HasReparameterised,)
    traceable = False  # a target may be any function
    batch_size = 256
    steps: Tensor

    def __init__(self, target: Any = None, warm_up: int = 0) -> None:
        super().__init__()
        if warm_up < 0:
            raise ValueError(f"expected warm_up >= 0, got {warm_up}")
        self.target = target if target is None or isinstance(target, nn.Module) else Density(target)
        self.arguments["target"] = self.target
        self.warm_up = warm_up
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def check(self, model: Any) -> None:
        """Whether the model draws with a gradient, and there is something to fit it to.

        Raises:
            CapabilityError: it does not.
            ValueError: no target.
        """
        super().check(model)
        if self.target is None:
            raise ValueError("expected target=FUNCTION with reverse_kl, the log density to fit to; got none")

    def phases(self, model: Any) -> tuple[Phase, ...]:
        return (Phase(after=self._count),)

    def _count(self, model: Any) -> None:
        self.steps += 1

    def beta(self, training: bool) -> Tensor | float:
        """The target's inverse temperature."""
        if not training or not self.warm_up:
            return COLDEST
        return (HOTTEST + self.steps / self.warm_up).clamp(max=COLDEST)

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        u, log_q = model._rsample_and_log_prob(len(batch), batch.context, generator)
        log_p = self.target(u)  # type: ignore[misc]
        if log_p.shape != log_q.shape:
            raise ValueError(f"expected a target's log density of shape {tuple(log_q.shape)}, got {tuple(log_p.shape)}")
        dims = model.model_event.dims
        terms = {"log_q": batch.mean(log_q) / dims, "minus_log_target": batch.mean(-log_p) / dims}
        return Loss(terms["log_q"] + self.beta(model.training) * terms["minus_log_target"], terms)
