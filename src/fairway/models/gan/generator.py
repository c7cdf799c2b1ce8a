"""A generator: a network g that pushes noise forward to data (Goodfellow et al. 2014).

    z ~ N(0, I),   u = g(z, c)                z (B, latent), c (B, ...) or none, u (B, *U) in model units

One pass draws a sample; there is no density, since g neither inverts nor fills the space. How g learns is the
objective's business: `Adversarial` by default, anything that asks for a decoder otherwise. Counted data are
dequantised and standardised, because the critic's gradient must flow through a draw; `sample` takes the floor.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from fairway.core.capability import HasDecoder, HasSample
from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.objective import Objective
from fairway.core.preprocessing import Preprocessing, continuous, dequantised
from fairway.core.random import Rows
from fairway.networks.critic import MLPCritic
from fairway.networks.joined import joined, width
from fairway.networks.mlp import MLP

PERCEPTRON = (128, 128, 128)


class Generator(HasDecoder, HasSample, Model):
    """An MLP from noise (and context) to observations.

    Args:
        event: what one observation is.
        context_event: what one context is, or None.
        latent: dimensions of the noise.
        hidden: widths of the layers.
        act: activation between them.
    """

    accepts = ("real", "bounded", "positive", "integer", "binary")
    accepts_context = ("real", "bounded", "positive", "integer", "binary", "category")
    cites = ("goodfellow2014gan",)
    tiny: ClassVar[list[Case]] = [
        Case(Event((2,)), None, {"latent": 2, "hidden": (8,)}),
        Case(Event((4, 4), "integer", low=0, high=4), Event((), "category", levels=3), {"latent": 3, "hidden": (8,)}),
        Case(Event((2, 3, 3), "bounded", low=0.0, high=1.0), Event((2,)), {"latent": 2, "hidden": (8,)}),
        Case(Event((6,), "binary"), None, {"latent": 4, "hidden": (16,)}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        latent: int = 16,
        hidden: Sequence[int] = PERCEPTRON,
        act: str = "silu",
    ) -> None:
        super().__init__(event, context_event)
        self.latent, self.hidden, self.act = latent, tuple(hidden), act
        self.network = self._network()

    @property
    def context_dims(self) -> int:
        """Entries of a context in model units, 0 for none."""
        return 0 if self.context_preprocess is None else width(self.context_preprocess.model_event)

    def _network(self) -> nn.Module:
        """(z, context) side by side -> (B, dims)."""
        return MLP(self.latent + self.context_dims, self.model_event.dims, self.hidden, self.act)

    def default_critic(self, hidden: Sequence[int] | None, context: int) -> nn.Module:
        """A critic for this model's draws; see `Adversarial`.

        Args:
            hidden: its widths, None for a choice. context: entries of what it is shown beside a row.
        """
        return MLPCritic(self.model_event.dims + context, hidden or PERCEPTRON)

    def preprocessing(self, event: Event) -> Preprocessing:
        return dequantised(event) if event.counted else continuous(event)

    def default_objective(self) -> Objective:
        from fairway.objectives.adversarial import Adversarial

        return Adversarial()

    @property
    def latent_event(self) -> Event:
        return Event((self.latent,))

    def _decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.network(joined(z, context)).reshape(len(z), *self.model_event.shape)

    def _sample(self, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        return self._decode(rows.normal(self.latent), context)
