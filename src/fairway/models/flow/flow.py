"""A normalizing flow: a base density pushed through an invertible map.

    z ~ N(0, I),  u = T^-1(z),   log p(u) = log N(T(u); 0, I) + log|det dT/du|

`encode` is T, `decode` is T^-1: every observation has exactly one latent, and the density is exact. Flows of this file
act on flattened vectors (B, D); the event's shape is restored at the end.
"""

from torch import Tensor

from fairway.core.capability import HasLatent, HasLogProb, HasReparameterised, HasSample
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.numerics import standard_normal_log_prob
from fairway.core.objective import Objective
from fairway.core.random import Rows
from fairway.models.flow.transforms.transform import Transform
from fairway.objectives.mle import MLE


class Flow(HasLogProb, HasLatent, HasReparameterised, HasSample, Model):
    """A flow with a standard normal base; subclasses give `transform` in their constructor.

    Raises:
        ValueError: fewer than two dimensions.
    """

    accepts_context = ("real", "bounded", "positive", "integer", "binary", "category")
    transform: Transform

    def __init__(self, event: Event, context_event: Event | None = None) -> None:
        super().__init__(event, context_event)
        self.dims = self.model_event.dims
        if self.dims < 2:
            raise ValueError(f"{self.name()} couples entries: expected at least 2 of them, got event {event}")
        self.context_dims = 0 if self.context_preprocess is None else self.context_preprocess.model_event.dims

    def default_objective(self) -> Objective:
        return MLE()

    @property
    def latent_event(self) -> Event:
        """The base variable, in the shape of the event."""
        return Event(self.model_event.shape)

    def _context(self, context: Tensor) -> Tensor:
        return context.flatten(1)

    def _encode(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self.transform.to_latent(u.flatten(1), context)[0].reshape(u.shape)

    def _decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.transform.to_data(z.flatten(1), context)[0].reshape(z.shape)

    def _log_prob(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        z, ladj = self.transform.to_latent(u.flatten(1), context)
        return standard_normal_log_prob(z) + ladj

    def _sample(self, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        return self._rsample_and_log_prob(n, context, rows)[0]

    def _rsample_and_log_prob(self, n: int, context: Tensor | None, rows: Rows) -> tuple[Tensor, Tensor]:
        z = rows.normal(self.dims)
        u, ladj = self.transform.to_data(z, context)
        return u.reshape(n, *self.model_event.shape), standard_normal_log_prob(z) - ladj  # type: ignore[arg-type]
