"""A normalizing flow: a base density pushed through an invertible map.

    z ~ p_Z,  u = T^-1(z),   log p(u) = log p_Z(T(u)) + log|det dT/du|

`encode` is T, `decode` is T^-1: every observation has exactly one latent, and the density is exact. Draws at a
temperature widen or narrow the base alone. A flow may learn its own embedding of the context, which all transforms
then share. Transforms act on flattened vectors (B, D), or, where a flow says so by `shape`, on images (B, C, H, W);
latents are vectors (B, D) either way, and the event's shape is restored at the end.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fairway.core.capability import HasLatent, HasLogProb, HasReparameterised, HasSample, HasTemperature
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.objective import Objective
from fairway.core.random import Rows
from fairway.models.flow.base import base_for
from fairway.models.flow.transforms.compiled import compile_directions, direction, parallel
from fairway.models.flow.transforms.transform import Transform
from fairway.objectives.mle import MLE


class Flow(HasLogProb, HasLatent, HasReparameterised, HasTemperature, HasSample, Model):
    """Base of the family; subclasses give `transform` in their constructor.

    Args:
        event, context_event: see `Model`.
        base: "normal", "logistic", or a density model on vectors of D reals.
        embedding: network (B, context) -> (B, features) through which all transforms see the context; None for the
            context itself.

    Class attributes:
        least_dims: fewest entries of an observation; a coupling needs two.

    Raises:
        ValueError: fewer entries than that.
    """

    accepts_context = ("real", "bounded", "positive", "integer", "binary", "category")
    least_dims: ClassVar[int] = 1
    transform: Transform

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        base: Any = "normal",
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event)
        self.dims = self.model_event.dims
        if self.dims < self.least_dims:
            raise ValueError(
                f"{self.name()} couples entries: expected at least {self.least_dims} of them, got event {event}; "
                "a masked autoregressive flow (maf, nsf with kind='autoregressive') takes one"
            )
        self.base = base_for(base, self.dims)
        self.embedding = embedding
        self.context_dims = self._width_of_context()

    def _width_of_context(self) -> int:
        if self.context_preprocess is None:
            return 0
        given = self.context_preprocess.model_event
        with torch.no_grad():  # two rows, for a network that normalises over the batch
            return self._context(torch.zeros(2, *(s or 1 for s in given.shape), dtype=self.dtype)).shape[1]

    def default_objective(self) -> Objective:
        return MLE()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """From here on this instance answers by compiled code, in each direction that is one parallel pass.

        The numbers are the same up to rounding. Each size of a batch takes seconds to a minute at its first use, so it
        pays for many questions: densities of a stream, draws behind a service. A copy or a saved run is not compiled.

        Raises:
            TypeError: options; there are none.
            RuntimeError: this machine has no compiler.
        """
        if args or kwargs:
            raise TypeError(f"compile takes no options, got {[*args, *kwargs]}")
        compile_directions(self.transform, parallel(self.transform))

    @property
    def shape(self) -> tuple[int, ...]:
        """What the transform sees of one observation: (D,), or (C, H, W) for a flow of images."""
        return (self.dims,)

    @property
    def latent_event(self) -> Event:
        """The base variable, in the shape of the event."""
        return Event(self.model_event.shape)

    def _context(self, context: Tensor) -> Tensor:
        return context.flatten(1) if self.embedding is None else self.embedding(context).flatten(1)

    def _to_latent(self, u: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, *U) -> z (B, D), ladj (B,)."""
        z, ladj = direction(self.transform, "to_latent")(u.reshape(len(u), *self.shape), context)
        return z.flatten(1), ladj

    def _from_latent(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """z (B, D) -> u (B, *U), ladj (B,)."""
        u, ladj = direction(self.transform, "to_data")(z, context)
        return u.reshape(len(z), *(s or 1 for s in self.model_event.shape)), ladj

    def _encode(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self._to_latent(u, context)[0].reshape(u.shape)

    def _decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self._from_latent(z.flatten(1), context)[0]

    def _log_base(self, z: Tensor) -> Tensor:
        """(B, *Z) -> (B,): log density of the base."""
        return self.base.log_prob(z.flatten(1))

    def _log_prob(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        z, ladj = self._to_latent(u, context)
        return self.base.log_prob(z) + ladj

    def _sample(self, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        return self._sample_at(n, context, rows, 1.0)

    def _sample_at(self, n: int, context: Tensor | None, rows: Rows, temperature: float) -> Tensor:
        return self._from_latent(self.base.sample(self.dims, rows, temperature), context)[0]

    def _rsample_and_log_prob(self, n: int, context: Tensor | None, rows: Rows) -> tuple[Tensor, Tensor]:
        z = self.base.rsample(self.dims, rows)
        u, ladj = self._from_latent(z, context)
        return u, self.base.log_prob(z) - ladj
