"""What an encoder says of the latent, q(z | u): a diagonal Gaussian, or one that a flow bends.

    diagonal   z = mu + sigma e,  e ~ N(0, I)       KL(q || N(0, I)) = 1/2 sum (mu^2 + sigma^2 - 1 - log sigma^2)
    flow       z = f_K o ... o f_1(mu + sigma e; h)   log q(z | u) = log N(e; 0, I) - sum log sigma - sum_k ladj_k

The true posterior of a latent is rarely an axis-aligned Gaussian, and the bound loses KL(q || p(z | u)) for it. The
steps of a flow see features h of the encoder (Rezende and Mohamed 2015; Kingma et al. 2016); their KL has no closed
form and is log q(z | u) - log N(z; 0, I) at the draw itself, right on average. Each step goes from e to z in one
pass, which is all that training needs. Shapes: mu, log sigma, e, z (B, Z), h (B, FEATURES), densities (B,) in nats.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from fairway.core.numerics import event_sum, normal_log_prob, standard_normal_log_prob
from fairway.core.random import Rows
from fairway.core.registry import did_you_mean
from fairway.models.flow.maf import autoregressive_chain, orders_of
from fairway.models.flow.transforms.planar import Planar
from fairway.models.flow.transforms.radial import Radial
from fairway.models.flow.transforms.transform import Chain, Inverse, Transform
from fairway.models.flow.transforms.univariate import affine
from fairway.models.latent.likelihood import soft_limit

FEATURES = 64  # of the encoder, seen by every step of a flow
HIDDEN = (128,)  # widths of each masked network


def kl_to_standard_normal(mean: Tensor, log_std: Tensor) -> Tensor:
    """(B, Z), (B, Z) -> (B,): KL(N(mean, exp(log_std)^2) || N(0, I)), nats."""
    return 0.5 * (mean.square() + torch.expm1(2 * log_std) - 2 * log_std).sum(1)


class Posterior(Protocol):
    """q(z | u) for a batch of rows u."""

    def centre(self) -> Tensor:
        """(B, Z): the z of e = 0."""

    def draw_and_kl(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """z (B, Z), reparameterised, and KL(q || N(0, I)) (B,), in closed form or at this draw."""

    def draw_and_log_prob(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """z (B, Z), reparameterised, and log q(z | u) (B,)."""

    def log_prob(self, z: Tensor) -> Tensor:
        """(B, Z) -> (B,): log q(z | u)."""


class DiagonalPosterior(NamedTuple):
    """N(mean, diag(exp(log_std))^2).

    Args:
        mean, log_std: (B, Z).
    """

    mean: Tensor
    log_std: Tensor

    def centre(self) -> Tensor:
        return self.mean

    def _at(self, noise: Tensor) -> Tensor:
        return self.mean + self.log_std.exp() * noise

    def draw_and_kl(self, rows: Rows) -> tuple[Tensor, Tensor]:
        return self._at(rows.normal(self.mean.shape[1])), kl_to_standard_normal(self.mean, self.log_std)

    def draw_and_log_prob(self, rows: Rows) -> tuple[Tensor, Tensor]:
        noise = rows.normal(self.mean.shape[1])
        return self._at(noise), standard_normal_log_prob(noise) - self.log_std.sum(1)

    def log_prob(self, z: Tensor) -> Tensor:
        return event_sum(normal_log_prob(z, self.mean, self.log_std))


@dataclass(frozen=True)
class FlowPosterior:
    """A diagonal Gaussian through transforms that see the features.

    Args:
        base: where e is drawn.
        transform: its `to_data` leads from the base to z.
        features: (B, FEATURES).
    """

    base: DiagonalPosterior
    transform: Transform
    features: Tensor

    def centre(self) -> Tensor:
        return self.transform.to_data(self.base.mean, self.features)[0]

    def draw_and_kl(self, rows: Rows) -> tuple[Tensor, Tensor]:
        z, log_q = self.draw_and_log_prob(rows)
        return z, log_q - standard_normal_log_prob(z)

    def draw_and_log_prob(self, rows: Rows) -> tuple[Tensor, Tensor]:
        start, log_q = self.base.draw_and_log_prob(rows)
        z, ladj = self.transform.to_data(start, self.features)
        return z, log_q - ladj

    def log_prob(self, z: Tensor) -> Tensor:
        start, ladj = self.transform.to_latent(z, self.features)
        return self.base.log_prob(start) + ladj


# -- by name ------------------------------------------------------------------------------------------------------
def _inverse_autoregressive(latent: int, transforms: int) -> list[Transform]:
    """Kingma et al. 2016, section 4: every entry moves given those before it, all at once."""
    orders = orders_of(latent, transforms, "reverse")
    return [Inverse(link) for link in autoregressive_chain(latent, affine, HIDDEN, FEATURES, orders)]


POSTERIORS: dict[str, Callable[[int, int], list[Transform]] | None] = {
    "diagonal": None,
    "iaf": _inverse_autoregressive,
    "planar": lambda latent, transforms: [Planar(latent, FEATURES) for _ in range(transforms)],
    "radial": lambda latent, transforms: [Radial(latent, FEATURES) for _ in range(transforms)],
}


def posterior_transform(name: str, latent: int, transforms: int) -> Transform | None:
    """The steps of a posterior; None for the diagonal one, which has none.

    Raises:
        ValueError: an unknown name, or less than one step.
    """
    if name not in POSTERIORS:
        raise ValueError(f"no posterior named {name!r}{did_you_mean(name, list(POSTERIORS))}")
    if transforms < 1:
        raise ValueError(f"expected transforms of at least 1, got {transforms}")
    steps = POSTERIORS[name]
    return None if steps is None else Chain(steps(latent, transforms))


def width_of(latent: int, transform: Transform | None) -> int:
    """What an encoder puts out for a posterior."""
    return 2 * latent + (0 if transform is None else FEATURES)


def posterior_of(encoded: Tensor, latent: int, transform: Transform | None) -> Posterior:
    """The posterior of an encoder's outputs (B, `width_of`)."""
    mean, raw, features = encoded.split([latent, latent, encoded.shape[1] - 2 * latent], 1)
    base = DiagonalPosterior(mean, soft_limit(raw))
    return base if transform is None else FlowPosterior(base, transform, features)
