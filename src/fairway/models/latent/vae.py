"""The variational autoencoder (Kingma and Welling 2014).

    p(u) = int p(u | z) N(z; 0, I) dz,      q(z | u) = N(z; mu(u), diag sigma(u)^2)

    log p(u) >= E_q[log p(u | z)] - KL(q(z | u) || N(0, I))
    KL        = 1/2 sum_j (mu_j^2 + sigma_j^2 - 1 - log sigma_j^2)          nats, closed form

The gap is KL(q(z | u) || p(z | u)), zero when the encoder is the true posterior; a flow narrows it by bending the
Gaussian (`latent.posterior`). One draw z = mu + sigma eps carries the gradient to the encoder (reparameterisation). A
context c joins both ends, p(u | z, c) and q(z | u, c), under the
same prior (Sohn et al. 2015). Samples are draws from p(u | z), noise included; `decode` gives its mean.
Shapes: u (B, *U) flattened, z (B, latent). Counted data keep their levels, so the bound is one on a probability.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from fairway.core.capability import HasBound, HasJoint, HasLatent, HasSample
from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.numerics import standard_normal_log_prob
from fairway.core.objective import Objective
from fairway.core.preprocessing import Preprocessing, countable
from fairway.core.random import Rows
from fairway.models.latent.likelihood import decoder_likelihood, network_input
from fairway.models.latent.posterior import Posterior, posterior_of, posterior_transform, width_of
from fairway.networks.joined import joined, width
from fairway.networks.mlp import MLP


class VAE(HasBound, HasJoint, HasLatent, HasSample, Model):
    """A decoder with a learned likelihood and an encoder that says what the latent was, both MLPs.

    Args:
        event: what one observation is; counted events keep their levels.
        context_event: what one context is, or None.
        latent: dimensions of z.
        hidden: widths of the encoder's layers; the decoder has them in reverse.
        dropout: share of hidden units dropped in training, against overfitting of small data sets.
        likelihood: "auto" (by the event), "normal", "bernoulli", "categorical" or "discretised_logistic".
        posterior: "diagonal" for a Gaussian, or the flow that bends it: "iaf", "planar", "radial".
        transforms: steps of that flow.
    """

    accepts = ("real", "bounded", "positive", "integer", "binary", "category")
    accepts_context = ("real", "bounded", "positive", "integer", "binary", "category")
    cites = ("kingma2014vae", "rezende2015flows", "kingma2016iaf")
    tiny: ClassVar[list[Case]] = [
        Case(Event((2,)), None, {"latent": 2, "hidden": (8,)}),
        Case(Event((4, 4), "integer", low=0, high=4), Event((), "category", levels=3), {"latent": 3, "hidden": (8,)}),
        Case(Event((2, 3, 3), "integer", low=0, high=255), None, {"latent": 2, "hidden": (8,)}),
        Case(Event((3,), "binary"), Event((2,)), {"latent": 2, "hidden": (8,)}),
        Case(Event((5,), "binary"), None, {"latent": 3, "hidden": (8,), "posterior": "iaf", "transforms": 2}),
        Case(Event((4,), "binary"), None, {"latent": 3, "hidden": (8,), "posterior": "planar", "transforms": 2}),
        Case(Event((3,)), None, {"latent": 2, "hidden": (8,), "posterior": "radial", "transforms": 2}),
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
        posterior: str = "diagonal",
        transforms: int = 4,
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
        self.bend = posterior_transform(posterior, latent, transforms)
        encoded = width_of(latent, self.bend)
        self.encoder = MLP(dims * levels + width(context), encoded, hidden, dropout=dropout)
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

    def posterior(self, u: Tensor, context: Tensor | None = None) -> Posterior:
        """q(z | u), u in model units; a diagonal one unpacks into its mean and log standard deviation (B, Z)."""
        inputs = network_input(u, self.model_event, self.dtype)
        return posterior_of(self.encoder(joined(inputs, context)), self.latent, self.bend)

    def _bound_terms(self, u: Tensor, context: Tensor | None, rows: Rows) -> dict[str, Tensor]:
        z, kl = self.posterior(u, context).draw_and_kl(rows)
        params = self.decoder(joined(z, context))
        return {"reconstruction": -self._likelihood.log_prob(params, u), "kl": kl}

    def _log_joint(self, u: Tensor, z: Tensor, context: Tensor | None = None) -> Tensor:
        params = self.decoder(joined(z, context))
        return self._likelihood.log_prob(params, u) + standard_normal_log_prob(z)

    def _log_weight(self, u: Tensor, context: Tensor | None, rows: Rows) -> Tensor:
        """(B,): log of w = p(u, z) / q(z | u) at one draw z ~ q(z | u); the mean of w is p(u)."""
        z, log_q = self.posterior(u, context).draw_and_log_prob(rows)
        return self._log_joint(u, z, context) - log_q

    def _encode(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self.posterior(u, context).centre()

    def _decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self._likelihood.mean(self.decoder(joined(z, context)))

    def _sample(self, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        z = rows.normal(self.latent)
        return self._likelihood.sample(self.decoder(joined(z, context)), rows.spawn(1))
