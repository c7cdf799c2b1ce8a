"""VEEGAN: a generator that pays for modes it drops, as its noise must be read off its draws (Srivastava et al. 2017).

    max_d  E log sigma(d(x, F(x))) + E log(1 - sigma(d(g(z), z)))                        the best d is log p / q
    min_g, F  E[-d(g(z), z)] + lambda E |z - F(g(z))|^2                                  z ~ N(0, I)

The critic judges pairs as in `bidirectional`, (x, F(x)) with the law p and (g(z), z) with the law q, so that E[-d] is
KL(q || p) at the best critic. The reconstructor F learns from the second term alone: regression of the noise on the
draws, which is a bound on the cross-entropy of z given g(z) when F is the mean of a Gaussian of fixed variance
(section 3 of the paper). Where the generator folds two latents onto one draw F must miss, and where it leaves out a
mode F carries that mode to noise that N(0, I) does not have, which the critic sees. The error is in noise space: it has
a scale of its own, whatever the data. Units: nats for both terms.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from fairway.core.objective import Batch
from fairway.objectives.adversarial import Shown
from fairway.objectives.bidirectional import Bidirectional
from fairway.objectives.critic_losses import Divergence, non_saturating_critic, wasserstein_generator


class VEEGAN(Bidirectional):
    """A critic of pairs, a generator that it moves, and an encoder that learns to read the generator's noise.

    Args:
        reconstruction: lambda, above 0. The paper's is 1; on 8 x 8 digits 0.1 gave the better draws and the better
            reconstructions.
        penalty, weight, critic_steps, critic_hidden, views, critic: as `Adversarial`.

    Raises:
        ValueError: a lambda of 0 or less: nothing else would move the encoder.
    """

    def __init__(
        self,
        reconstruction: float = 0.1,
        penalty: str = "r1_r2",
        weight: float | Sequence[float] = 0.1,
        critic_steps: int = 1,
        critic_hidden: Sequence[int] | None = None,
        views: Sequence[nn.Module] = (),
        critic: nn.Module | None = None,
    ) -> None:
        super().__init__(
            "non_saturating", penalty, weight, critic_steps=critic_steps, critic_hidden=critic_hidden, views=views,
            critic=critic,
        )  # fmt: skip
        if not reconstruction > 0:
            raise ValueError(
                f"expected reconstruction above 0, got {reconstruction}: the encoder learns from it alone; without it, "
                "take objective='bidirectional'"
            )
        self.reconstruction = float(reconstruction)

    def game(self) -> Divergence:
        """The paper's: cross-entropy for the critic, its logit for the generator; the encoder does not play."""
        return Divergence(non_saturating_critic, wasserstein_generator)

    def owed(self, batch: Batch, model: Any, fake: Shown) -> dict[str, Tensor]:
        assert fake.context is not None
        noise = fake.context[:, : self.latent_dims]
        error = model._encode(fake.u, batch.context).flatten(1) - noise
        return {"reconstruction": self.reconstruction * batch.mean(error.square().sum(1))}
