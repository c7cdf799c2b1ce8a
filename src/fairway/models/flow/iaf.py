"""Inverse autoregressive flow (Kingma et al. 2016, Improved variational inference with inverse autoregressive flow).

    u_i = z_i e^{s_i(z_<i)} + t_i(z_<i)       one parallel pass from the noise to the data      (eq. 10 and 11)
    log p(u) = log N(z; 0, I) - sum_i s_i     known at once for a draw of its own

Draws with their density in one pass make it the posterior of a latent-variable model (`VAE(posterior="iaf")`) and of a
fit to a density (`fairway.approximate`). The density of given data takes the inverse, entry by entry. It is `maf` the
other way round.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from fairway.core.event import Event
from fairway.models.flow.maf import MAF


class IAF(MAF):
    """A chain of masked autoregressive affine maps that draws in one pass.

    Args:
        event, context_event, transforms, hidden, ordering, base, embedding: see `MAF`.

    >>> flow = IAF(Event((3,)), transforms=2, hidden=(8,))
    >>> flow.sample(4, generator=0).shape
    torch.Size([4, 3])
    """

    cites = ("kingma2016iaf",)

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        transforms: int = 5,
        hidden: Sequence[int] = (128, 128),
        ordering: str = "reverse",
        base: Any = "normal",
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__(
            event, context_event, transforms=transforms, hidden=hidden, fast="sample", ordering=ordering, base=base,
            embedding=embedding,
        )  # fmt: skip
