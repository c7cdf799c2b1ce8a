"""BigGAN: residual networks of spectral norm 1 that are told a class, made small (Brock, Donahue and Simonyan 2019).

    critic       relu(1 - d(u, c)) + relu(1 + d(g(z, c), c))
    generator    -d(g(z, c), c) + beta |W W^T * (1 - I)|_F^2

The class enters the generator by the gains and biases of its batch norms, the critic by projection; both players'
layers are divided by their spectral norm, so that no penalty is needed. The paper's finding is that size pays: here it
is `hidden`, and `batch_size`. Weights at right angles let latents be truncated after training, for draws that are
better and less varied: `model.sample(n, sampler=Truncated(0.5))`. See `networks.biggan` and `objectives.orthogonal`.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from fairway.core.case import Case
from fairway.core.event import Event
from fairway.core.objective import Objective, Optimisation
from fairway.models.gan.image_generator import ImageGenerator
from fairway.networks.biggan import BigGANCritic, BigGANGenerator

RANGED = ("bounded", "integer", "binary")  # kinds of event that a tanh can reach the ends of


class BigGAN(ImageGenerator):
    """Images of a class, or without one, whose sides can be halved down to 4 pixels or more.

    Args:
        event, context_event, hidden: as `ImageGenerator`.
        latent: dimensions of the noise within a class.

    Raises:
        ValueError: what is no image, or of sides that cannot be halved so often.
    """

    cites = ("brock2019biggan", "miyato2018spectral", "miyato2018projection")  # type: ignore[assignment]
    optimisation = Optimisation(lr=2e-3, betas=(0.0, 0.999), clip=None, ema=0.999)
    tiny: ClassVar[list[Case]] = [
        Case(Event((8, 8), "integer", low=0, high=16), Event((), "category", levels=3), {"latent": 4, "hidden": (8,)}),
        Case(Event((2, 8, 12), "bounded", low=0.0, high=1.0), None, {"latent": 4, "hidden": (8,)}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        latent: int = 16,
        hidden: Sequence[int] | None = None,
    ) -> None:
        super().__init__(event, context_event, latent=latent, hidden=hidden)

    @property
    def convolves(self) -> bool:
        return True

    def _network(self) -> nn.Module:
        squash = self.event.kind in RANGED
        return BigGANGenerator(self.event.shape, self.latent, self.context_dims, self.hidden, squash)

    def default_critic(self, hidden: Sequence[int] | None, context: int) -> nn.Module:
        return BigGANCritic(self.event.shape, context, hidden or self.hidden[::-1])

    def default_objective(self) -> Objective:
        from fairway.objectives.orthogonal import Orthogonal

        return Orthogonal()
