"""Feature matching: the generator meets the mean of what the critic sees, not its verdict (Salimans et al. 2016, 3.1).

    critic      as ever: a divergence of its logits
    generator   min_g | E f(u) - E f(g(z)) |^2          f (B, F): the critic's last hidden layer

A verdict rewards whatever beats the critic of the moment, at one place if need be; means of features are met by draws
as a whole, and the critic, which lives by the features that still differ, keeps finding new ones. The fixed point is
where no feature tells the laws apart in the mean, which is less than their being equal.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from fairway.core.objective import Batch, Loss
from fairway.core.random import Rows
from fairway.networks.dcgan import ConvCritic
from fairway.objectives.adversarial import Adversarial, Shown
from fairway.samplers.mcmc import frozen


class FeatureMatching(Adversarial):
    """`Adversarial`, whose generator matches the critic's features.

    Args:
        divergence, penalty, weight, every, critic_steps, critic_hidden, views, monitor: see `Adversarial`; what the
            divergence holds for the generator is not used.
        critic: your own, with a method `features(u, context)` -> (B, F); None for the model's.

    Raises:
        ValueError: with a model, a critic without features.
    """

    def __init__(
        self,
        divergence: str = "non_saturating",
        penalty: str = "none",
        weight: float | Sequence[float] = 10.0,
        every: int = 1,
        critic_steps: int = 1,
        critic_hidden: Sequence[int] | None = None,
        views: Sequence[nn.Module] = (),
        monitor: str | None = None,
        critic: nn.Module | None = None,
    ) -> None:
        super().__init__(
            divergence, penalty, weight, every, critic_steps, critic_hidden, views, monitor=monitor, critic=critic
        )

    def setup(self, model: Any) -> None:
        super().setup(model)
        if not hasattr(self.critic, "features"):
            raise ValueError(
                f"expected a critic with a method features(u, context) -> (B, F), got {type(self.critic).__name__}: "
                "give it one, or leave critic=None"
            )

    def generator_loss(self, batch: Batch, model: Any, noise: Tensor, generator: Rows) -> Loss:
        """How far the mean features of fakes are from those of data, and what else is owed."""
        sides = self.shown(batch, model, noise)
        with frozen(self.critic):  # type: ignore[arg-type]
            real, fake = (features_of(self.critic, side) for side in self._viewed(*sides, generator))
        loss = generator.in_step(mean_row(batch, real - fake)).square().sum()  # the mean over all processes, squared
        owed = self.owed(batch, model, sides[1])
        return Loss(loss + sum(owed.values()), {"features": loss, **owed})


def features_of(critic: Any, side: Shown) -> Tensor:
    """(B, F): a critic's last hidden layer; convolutions are told the context after it."""
    features: Tensor = critic.features(side.u) if isinstance(critic, ConvCritic) else critic.features(*side)
    return features


def mean_row(batch: Batch, rows: Tensor) -> Tensor:
    """(B, F) -> (F,): the weighted mean over the rows of a batch."""
    if batch.weight is None:
        return rows.mean(0)
    return (batch.weight.to(rows) @ rows) / (batch.weight.sum() if batch.total is None else batch.total)
