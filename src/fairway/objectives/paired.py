"""Learning from pairs: please a critic that sees the pair, and be near the data (Isola et al. 2017).

    min_d  E[critic(d(u, c), d(g(c, z), c))],      min_g  E[generator(d(g(c, z), c))] + lambda E |u - g(c, z)|

|.| is the mean absolute error per entry, in model units: lambda = 100 is the paper's, for images in [-1, 1]. Its best
answer alone would be the median of u given c, entry by entry; the critic's part is what makes draws look like data.
Shapes: u (B, *U), c (B, ...).
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from fairway.core.objective import Batch
from fairway.objectives.adversarial import Adversarial, Shown, per_row


class Paired(Adversarial):
    """An adversary of pairs, and an absolute error.

    Args:
        reconstruction: lambda, weight of the mean absolute error.
        divergence, penalty, weight, critic_hidden, views, critic: as `Adversarial`.

    Raises:
        ValueError: a negative weight; (when checked) a model without context.
    """

    watched: ClassVar[str | None] = None  # one answer to each context, and dear draws

    def __init__(
        self,
        reconstruction: float = 100.0,
        divergence: str = "non_saturating",
        penalty: str = "none",
        weight: float | Sequence[float] = 10.0,
        critic_hidden: Sequence[int] | None = None,
        views: Sequence[nn.Module] = (),
        critic: nn.Module | None = None,
    ) -> None:
        super().__init__(
            divergence, penalty, weight, critic_steps=1, critic_hidden=critic_hidden, views=views, critic=critic
        )
        if not reconstruction >= 0:
            raise ValueError(f"expected reconstruction as a weight of at least 0, got {reconstruction}")
        self.reconstruction = reconstruction

    def check(self, model: Any) -> None:
        super().check(model)
        if model.context_event is None:
            raise ValueError(f"{self.name()} learns from pairs: {model.name()} has no context; pass context=...")

    def diagnose(self, means: dict[str, float]) -> str | None:
        return None if self.reconstruction else super().diagnose(means)  # the error teaches where the critic is sure

    def owed(self, batch: Batch, model: Any, fake: Shown) -> dict[str, Tensor]:
        return {"reconstruction": self.reconstruction * batch.mean(per_row((fake.u - batch.u).abs()))}
