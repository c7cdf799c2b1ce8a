"""A game whose players grow: the pictures both are about start small and become finer (Karras et al. 2018).

    min_d  E[critic(d(real), d(fake))] + drift E d(real)^2 + w E[penalty],     real: data as coarse as the fakes

The generator and the critic share one `Growth`, a step older after each of the generator's moves, and data are averaged
and faded as the fakes are. With losses of differences alone nothing holds the critic's level, so that logits of real
rows are drawn to 0 by a small drift. The critic sees how a group of rows varies: real rows and fakes pass apart.

Growing is cheap at first, so a time budget, which times the first steps, buys more of them than it pays for; say
`steps` instead.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from fairway.core.capability import CapabilityError
from fairway.core.objective import Batch, Phase
from fairway.objectives.adversarial import Adversarial, Shown
from fairway.objectives.critic_losses import Divergence


class Progressive(Adversarial):
    """Adversaries that grow, by the paper's losses: Wasserstein with a gradient penalty.

    Args:
        divergence, penalty, weight, critic_steps, critic_hidden, monitor: see `Adversarial`.
        drift: weight of the square of the critic's answers to real rows.
    """

    traceable = False  # the level decides which layers run

    def __init__(
        self,
        divergence: str = "wasserstein",
        penalty: str = "gradient",
        weight: float | Sequence[float] = 10.0,
        drift: float = 1e-3,
        critic_steps: int = 1,
        critic_hidden: Sequence[int] | None = None,
        monitor: str | None = None,
    ) -> None:
        super().__init__(
            divergence,
            penalty,
            weight,
            critic_steps=critic_steps,
            critic_hidden=critic_hidden,
            monitor=monitor,
        )
        self.drift = drift
        self.divergence = _drifting(self.divergence, drift)

    def check(self, model: Any) -> None:
        super().check(model)
        if not hasattr(model, "growth"):
            raise CapabilityError(
                f"the objective {self.name()} grows a model by its `growth`, which {model.name()} lacks: "
                "take progan, or the objective adversarial"
            )

    def setup(self, model: Any) -> None:
        super().setup(model)
        own = getattr(self.critic, "growth", model.growth)
        if own.last != model.growth.last:
            raise ValueError(
                f"expected a critic of as many sizes as the generator, {model.growth.last + 1}, got {own.last + 1}: "
                "give critic_hidden as many entries as hidden"
            )
        self.critic.growth = model.growth  # type: ignore[union-attr]  # one age, in the same buffers

    def start(self, model: Any, u: Tensor) -> None:
        model.growth.begin()

    def phases(self, model: Any) -> tuple[Phase, ...]:
        *critics, last = super().phases(model)
        return (*critics, replace(last, after=_grow))

    def shown(self, batch: Batch, model: Any, noise: Tensor) -> tuple[Shown, Shown]:
        real, fake = super().shown(batch, model, noise)
        return real._replace(u=model.growth.coarse(real.u)), fake


def _grow(model: Any) -> None:
    model.growth.advance()


def _drifting(divergence: Divergence, drift: float) -> Divergence:
    """The same, with a cost of the critic's answers to real rows."""
    critic = divergence.critic
    return replace(divergence, critic=lambda real, fake: critic(real, fake) + drift * real.square())
