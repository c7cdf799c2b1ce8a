"""The variational autoencoder (Kingma and Welling 2014).

    p(u) = int p(u | z) N(z; 0, I) dz,      q(z | u) = N(z; mu(u), diag sigma(u)^2)

    log p(u) >= E_q[log p(u | z)] - KL(q(z | u) || N(0, I))
    KL        = 1/2 sum_j (mu_j^2 + sigma_j^2 - 1 - log sigma_j^2)          nats, closed form

The gap is KL(q(z | u) || p(z | u)), zero when the encoder is the true posterior. One draw z = mu + sigma eps carries
the gradient to the encoder (reparameterisation). A context c joins both ends, p(u | z, c) and q(z | u, c), under the
same prior (Sohn et al. 2015). Samples are draws from p(u | z), noise included; `decode` gives its mean.
Shapes: u (B, *U) flattened, z (B, latent). Counted data keep their levels, so the bound is one on a probability.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from fairway.core.capability import HasBound, HasJoint, HasLatent, HasSample
from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.numerics import standard_normal_log_prob
from fairway.core.objective import Objective
from fairway.core.preprocessing import Preprocessing, countable
from fairway.core.random import Rows
from fairway.models.latent.likelihood import decoder_likelihood, network_input, soft_limit
from fairway.networks.joined import joined, width
from fairway.networks.mlp import MLP


def kl_to_standard_normal(mean: Tensor, log_std: Tensor) -> Tensor:
    """(B, Z), (B, Z) -> (B,): KL(N(mean, exp(log_std)^2) || N(0, I)), nats."""
    return 0.5 * (mean.square() + torch.expm1(2 * log_std) - 2 * log_std).sum(1)


class VAE(HasBound, HasJoint, HasLatent, HasSample, Model):
    """A decoder with a learned likelihood, an encoder with a diagonal Gaussian posterior, both MLPs.

    Args:
        event: what one observation is; counted events keep their levels.
        context_event: what one context is, or None.
        latent: dimensions of z.
        hidden: widths of the encoder's layers; the decoder has them in reverse.
        dropout: share of hidden units dropped in training, against overfitting of small data sets.
        likelihood: "auto" (by the event), "normal", "bernoulli", "categorical" or "discretised_logistic".
    """

    accepts = ("real", "bounded", "positive", "integer", "binary", "category")
    accepts_context = ("real", "bounded", "positive", "integer", "binary", "category")
    cites = ("kingma2014vae",)
    tiny: ClassVar[list[Case]] = [
        Case(Event((2,)), None, {"latent": 2, "hidden": (8,)}),
        Case(Event((4, 4), "integer", low=0, high=4), Event((), "category", levels=3), {"latent": 3, "hidden": (8,)}),
        Case(Event((2, 3, 3), "integer", low=0, high=255), None, {"latent": 2, "hidden": (8,)}),
        Case(Event((3,), "binary"), Event((2,)), {"latent": 2, "hidden": (8,)}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        latent: int = 16,
        hidden: Sequence[int] = (256, 256, 256),
        dropout: float = 0.05,
        likelihood: str = "auto",
    ) -> None:
        super().__init__(event, context_event)
        if event.counted and not event.levels:
            raise ValueError(
                f"vae needs to know the levels of counted data: Event(..., low=..., high=...); got {event}"
            )
        self.latent = latent
        self._likelihood = decoder_likelihood(self.model_event, likelihood)
        context = None if self.context_preprocess is None else self.context_preprocess.model_event
        levels = (event.levels or 1) if self.model_event.kind == "category" else 1
        dims = self.model_event.dims
        self.encoder = MLP(dims * levels + width(context), 2 * latent, hidden, dropout=dropout)
        outputs = dims * self._likelihood.per_entry
        self.decoder = MLP(latent + width(context), outputs, tuple(reversed(hidden)), dropout=dropout)

    def preprocessing(self, event: Event) -> Preprocessing:
        return countable(event)

    @property
    def compiles(self) -> bool:
        """On counted data, whose costs are many small operations; elsewhere the gain is within a tenth."""
        return self.event.counted

    def default_objective(self) -> Objective:
        from fairway.objectives.elbo import ELBO

        return ELBO()

    @property
    def latent_event(self) -> Event:
        return Event((self.latent,))

    def posterior(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation (B, Z) of q(z | u), u in model units."""
        inputs = network_input(u, self.model_event, self.dtype)
        mean, raw = self.encoder(joined(inputs, context)).chunk(2, 1)
        return mean, soft_limit(raw)

    def _bound_terms(self, u: Tensor, context: Tensor | None, rows: Rows) -> dict[str, Tensor]:
        mean, log_std = self.posterior(u, context)
        z = mean + log_std.exp() * rows.normal(self.latent)
        params = self.decoder(joined(z, context))
        return {
            "reconstruction": -self._likelihood.log_prob(params, u),
            "kl": kl_to_standard_normal(mean, log_std),
        }

    def _log_joint(self, u: Tensor, z: Tensor, context: Tensor | None = None) -> Tensor:
        params = self.decoder(joined(z, context))
        return self._likelihood.log_prob(params, u) + standard_normal_log_prob(z)

    def _log_weight(self, u: Tensor, context: Tensor | None, rows: Rows) -> Tensor:
        """(B,): log of w = p(u, z) / q(z | u) at one draw z ~ q(z | u); the mean of w is p(u)."""
        mean, log_std = self.posterior(u, context)
        noise = rows.normal(self.latent)
        z = mean + log_std.exp() * noise
        return self._log_joint(u, z, context) - (standard_normal_log_prob(noise) - log_std.sum(1))

    def _encode(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self.posterior(u, context)[0]

    def _decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self._likelihood.mean(self.decoder(joined(z, context)))

    def _sample(self, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        z = rows.normal(self.latent)
        return self._likelihood.sample(self.decoder(joined(z, context)), rows.spawn(1))
