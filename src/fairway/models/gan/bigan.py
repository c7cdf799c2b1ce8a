"""The bidirectional GAN: a generator that learns together with its inverse (Donahue et al. 2017; Dumoulin et al. 2017).

    z ~ N(0, I),   u = g(z, c),   z = E(u, c)                       z (B, latent), u (B, *U) in model units

One critic judges pairs, (u, E(u)) of the data against (g(z), z) of the noise; see `objectives.bidirectional`. At the
optimum decode(encode(x)) = x and the codes of the data are N(0, I), although nothing asks for either: there is no cost
of reconstruction, so what the codes keep is what the critic can tell, not what squared error weighs. Short of the
optimum images come back as relatives of what was encoded. The encoder is deterministic, as BiGAN's; ALI's draws.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from fairway.core.capability import HasLatent
from fairway.core.case import Case
from fairway.core.event import Event
from fairway.core.objective import Objective, Optimisation
from fairway.models.gan.image_generator import ImageGenerator
from fairway.networks.conv_encoder import ConvEncoder, JointCritic
from fairway.networks.dcgan import halvings
from fairway.networks.joined import joined
from fairway.networks.mlp import MLP

LATENT_OF_IMAGES = 16  # on 8 x 8 digits 16 entries kept the class of 72 % of held-out rows there and back, 64 of 23 %
WEIGHT, WEIGHT_OF_IMAGES = 0.1, 1.0  # of the penalty; at 0.02 the ring of eight Gaussians did not settle


class BiGAN(HasLatent, ImageGenerator):
    """A generator and an encoder: perceptrons on tables, convolutions on images.

    Args: as `ImageGenerator`, but for the noise on images: 16 entries for None, since the critic must learn which goes
        with which. The encoder has the generator's widths in the opposite order.
    """

    cites = ("donahue2017bigan", "dumoulin2017ali")  # type: ignore[assignment]
    optimisation = Optimisation(lr=1e-3, betas=(0.0, 0.99), clip=None, ema=0.999)
    norm = "pixel"
    tiny: ClassVar[list[Case]] = [
        Case(Event((2,)), None, {"latent": 2, "hidden": (8,)}),
        Case(Event((4,), "integer", low=0, high=5), Event((2,)), {"latent": 3, "hidden": (8,)}),
        Case(Event((8, 8), "integer", low=0, high=16), Event((), "category", levels=3), {"latent": 4, "hidden": (8,)}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        latent: int | None = None,
        hidden: Sequence[int] | None = None,
        act: str = "relu",
    ) -> None:
        chosen = LATENT_OF_IMAGES if latent is None and halvings(event) else latent
        super().__init__(event, context_event, latent=chosen, hidden=hidden, act=act)
        self.encoder = self._encoder()

    def _encoder(self) -> nn.Module:
        """(u, context) -> (B, latent) on images, the same of both side by side elsewhere."""
        back = tuple(reversed(self.hidden))
        if self.convolves:
            return ConvEncoder(self.event.shape, self.latent, self.context_dims, back, self.norm)
        return MLP(self.model_event.dims + self.context_dims, self.latent, back, self.act)

    def default_critic(self, hidden: Sequence[int] | None, context: int) -> nn.Module:
        if not self.convolves:
            return super().default_critic(hidden, context)
        return JointCritic(self.event.shape, context, hidden or tuple(reversed(self.hidden)), self.critic_norm)

    def default_objective(self) -> Objective:
        from fairway.objectives.bidirectional import Bidirectional

        weight = WEIGHT_OF_IMAGES if self.convolves else WEIGHT
        return Bidirectional("non_saturating", "r1_r2", weight=weight, critic_steps=1)

    def _encode(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        code: Tensor = self.encoder(u, context) if self.convolves else self.encoder(joined(u, context))
        return code.to(u.dtype)
