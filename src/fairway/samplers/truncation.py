"""The truncation trick: latents without their tails, for better and less varied draws (Brock et al. 2019, 3.1).

    z_i ~ N(0, 1) given |z_i| <= threshold,   entry by entry,      u = g(z, c)
    Var z_i = 1 - (2 / pi)^1/2 t exp(-t^2 / 2) / erf(t / 2^1/2),   t the threshold:  t^2 / 3 for small, 1 for large ones

Entries within the threshold are kept, so that at infinity the draws are the decoder's own under N(0, 1). The others are
drawn again by the inverse of the distribution function, z = 2^1/2 erfinv((2 v - 1) erf(t / 2^1/2)), v uniform: as often
as rejection would have, in one go. What was truncated is not the model's law any more: it trades recall for precision,
and a metric of it should be shown beside the variance that is left, which the account of the draws tells.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from fairway.core.capability import Capability, CapabilityError, HasDecoder
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Pass


class Truncated(Pass):
    """Decoded normal latents, every entry within a threshold; `Draws.info` says which, and the variance of an entry.

    Args:
        threshold: above 0; infinity for all of N(0, 1).

    Raises:
        ValueError: a threshold that is not above 0.
    """

    requires: ClassVar[tuple[type[Capability], ...]] = (HasDecoder,)

    def __init__(self, threshold: float = 1.0) -> None:
        if isinstance(threshold, bool) or not threshold > 0:
            raise ValueError(f"expected a threshold above 0, got {threshold!r}")
        self.threshold = float(threshold)

    def check(self, model: Any) -> None:
        """Whether the model decodes real latents.

        Raises:
            CapabilityError: no decoder, or latents that are codes.
        """
        super().check(model)
        if model.latent_event.kind != "real":
            raise CapabilityError(
                f"the sampler {self.name()} draws normal latents, those of {model.name()} are {model.latent_event}"
            )

    def _draw(self, model: Any, n: int, context: Tensor | None, rows: Rows) -> Draws:
        shape = model.latent_event.shape
        z = truncated(rows.normal(*shape), rows.spawn(1).uniform(*shape), self.threshold)
        info = {"threshold": self.threshold, "latent_variance": variance(self.threshold)}
        return Draws(model._decode(z, context), evaluations=float(model.strokes), info=info)


def truncated(z: Tensor, uniforms: Tensor, threshold: float) -> Tensor:
    """Normal z with the entries beyond the threshold drawn again from within.

    Args:
        z, uniforms: of one shape, N(0, 1) and U[0, 1).
    """
    inside = math.erf(threshold / math.sqrt(2))
    again = math.sqrt(2) * torch.erfinv((2 * uniforms.double() - 1) * inside)
    return torch.where(z.abs() <= threshold, z, again.clamp(-threshold, threshold).to(z.dtype))


def variance(threshold: float) -> float:
    """Of N(0, 1) within +- threshold.

    >>> variance(math.inf), round(variance(1.0), 4)
    (1.0, 0.2911)
    """
    if math.isinf(threshold):
        return 1.0
    slope = math.sqrt(2 / math.pi) * threshold * math.exp(-(threshold**2) / 2)
    return 1 - slope / math.erf(threshold / math.sqrt(2))
