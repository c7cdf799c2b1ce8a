"""Learning by adversary: a critic d tells data from draws, the generator g moves where the critic points.

    min_d  E[critic(d(real), d(fake))] + w E[penalty(d)],        min_g  E[generator(d(fake), d(real))]

A `Divergence` is the two losses as functions of raw logits (B,), so that each row keeps its weight:

                    critic                                  generator
    wasserstein     d(fake) - d(real)                       -d(fake)               Arjovsky et al. 2017
    non_saturating  softplus(-d(real)) + softplus(d(fake))  softplus(-d(fake))     Goodfellow et al. 2014

The gradient penalty (Gulrajani et al. 2017) holds |grad d| at 1 on segments between real and fake rows, since the
optimal 1-Lipschitz critic has unit gradients almost everywhere on them: (|grad d(e real + (1 - e) fake)| - 1)^2 with
e ~ U[0, 1) per row, the norm over one row's entries. Each player sees the other's output as a constant: fakes are
detached in the critic's phase, and the critic's weights are frozen in the generator's.
A new adversary is a new line in DIVERGENCES or PENALTIES, or other phases; nothing else changes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.capability import HasDecoder
from fairway.core.numerics import gradient
from fairway.core.objective import Batch, Loss, Objective, Optimisation, Phase
from fairway.core.random import Rows
from fairway.networks.joined import joined, width
from fairway.networks.mlp import MLP
from fairway.samplers.mcmc import frozen

Critic = Callable[[Tensor, Tensor | None], Tensor]
Penalty = Callable[[Critic, Tensor, Tensor, Tensor | None, Tensor], Tensor]


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,): minus the critic's estimate of the distance."""
    return fake - real


def wasserstein_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,)."""
    return -fake


def non_saturating_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,): cross-entropy of telling real from fake, nats."""
    return F.softplus(-real) + F.softplus(fake)


def non_saturating_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,): cross-entropy of being taken for real, nats."""
    return F.softplus(-fake)


def no_penalty(critic: Critic, real: Tensor, fake: Tensor, context: Tensor | None, uniforms: Tensor) -> Tensor:
    """(B,) zeros."""
    return torch.zeros_like(uniforms)


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, context: Tensor | None, uniforms: Tensor) -> Tensor:
    """(B,): (|grad critic| - 1)^2 at one point on each segment between a real and a fake row.

    Args:
        critic: (u, context) -> (B,) logits, one row at a time (no batch statistics).
        real, fake: (B, *U).
        context: (B, ...), held fixed.
        uniforms: (B,) in [0, 1), where on the segment.
    """
    share = uniforms.reshape(-1, *[1] * (real.ndim - 1))
    slope = gradient(lambda u: critic(u, context).sum(), (share * real + (1 - share) * fake).detach())
    return (slope.flatten(1).norm(dim=1) - 1).square()


@dataclass(frozen=True)
class Divergence:
    """What the two players minimise, per row, from raw logits."""

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor], Tensor]


DIVERGENCES = {
    "wasserstein": Divergence(wasserstein_critic, wasserstein_generator),
    "non_saturating": Divergence(non_saturating_critic, non_saturating_generator),
}
PENALTIES = {"none": no_penalty, "gradient": gradient_penalty}


class MLPCritic(nn.Module):
    """(u, context) -> (B,): an MLP on the flattened row and its context."""

    def __init__(self, inputs: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.network = MLP(inputs, 1, hidden, act="leaky_relu")

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.network(joined(u, context)).squeeze(1)
        return out


class Adversarial(Objective):
    """A divergence, a penalty on the critic, and a critic that moves several times per step of the generator.

    It trains to the end of its schedule and keeps the averaged generator (`ema`). A distance on held-out rows jumps
    from one evaluation to the next: stopping by the sliced one left 66 % of the samples near a mode of a ring of eight
    Gaussians, training to the end 79 %. The learning rate, 4e-3 falling to 0, is for MLPs and short runs; the paper's
    1e-4 is for deep convolutions and days.

    Args:
        divergence: "wasserstein" or "non_saturating".
        penalty: "gradient" or "none".
        weight: of the penalty.
        critic_steps: the critic's moves, each on a fresh batch, before the generator's one.
        critic_hidden: widths of the default critic, an MLP.
        lr: of both players.
        critic: your own (u, context) -> (B,) logits, u in model units; None for an MLP.
    """

    requires = (HasDecoder,)
    monitor: ClassVar[str | None] = None
    optimisation = Optimisation(lr=4e-3, betas=(0.0, 0.9), clip=None, ema=0.995)
    batch_size = 64

    def __init__(
        self,
        divergence: str = "wasserstein",
        penalty: str = "gradient",
        weight: float = 10.0,
        critic_steps: int = 5,
        critic_hidden: Sequence[int] = (128, 128, 128),
        critic: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.divergence: Divergence = _named(DIVERGENCES, divergence, "divergence")
        self.penalty: Penalty = _named(PENALTIES, penalty, "penalty")
        self.weight, self.critic_steps = weight, critic_steps
        self.critic_hidden, self.critic = tuple(critic_hidden), critic

    def setup(self, model: Any) -> None:
        if self.critic is None:
            context = None if model.context_preprocess is None else model.context_preprocess.model_event
            self.critic = MLPCritic(width(model.model_event, context), self.critic_hidden)

    def phases(self, model: Any) -> tuple[Phase, ...]:
        return (Phase("critic", times=self.critic_steps), Phase("model"))

    def players(self, model: Any) -> dict[str, nn.Module]:
        if self.critic is None:
            raise ValueError("expected a critic: call setup(model) first")
        return {"model": model, "critic": self.critic}

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        noise = generator.normal(*model.latent_event.shape)
        if phase.player == "critic":
            return self._critic_loss(batch, model, noise, generator.spawn(1).uniform())
        return self._generator_loss(batch, model, noise)

    def _critic_loss(self, batch: Batch, model: Any, noise: Tensor, uniforms: Tensor) -> Loss:
        context = None if batch.context is None else batch.context.detach()
        with torch.no_grad():
            fake = model._decode(noise, context)
        real_logit, fake_logit = self._logits(batch.u, fake, context)
        loss = batch.mean(self.divergence.critic(real_logit, fake_logit))
        penalty = batch.mean(self.penalty(self.critic, batch.u, fake, context, uniforms))  # type: ignore[arg-type]
        terms = {"critic": loss, "penalty": penalty, "gap": batch.mean(real_logit - fake_logit)}
        return Loss(loss + self.weight * penalty, terms)

    def _generator_loss(self, batch: Batch, model: Any, noise: Tensor) -> Loss:
        fake = model._decode(noise, batch.context)
        with frozen(self.critic):  # type: ignore[arg-type]
            real_logit, fake_logit = self._logits(batch.u, fake, batch.context)
        loss = batch.mean(self.divergence.generator(fake_logit, real_logit))
        return Loss(loss, {"generator": loss})

    def _logits(self, real: Tensor, fake: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """One pass of the critic over both, (B,) each."""
        twice = None if context is None else torch.cat([context, context])
        logits = self.critic(torch.cat([real, fake]), twice)  # type: ignore[misc]
        return logits[: len(real)], logits[len(real) :]


def _named(table: dict[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise ValueError(f"expected {what} among {', '.join(table)}; got {name!r}")
    return table[name]
