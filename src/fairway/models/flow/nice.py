"""NICE: additive couplings and one diagonal scaling (Dinh, Krueger and Bengio 2015).

    z_a = u_a,   z_b = u_b + t(u_a)        log|det| = 0          (section 3.2)
    z = e^s * h,   entry by entry, last    log|det| = sum s      (section 3.3)

The couplings keep volume, so all stretching is left to one learned scale per entry: the entries that vary most get the
smallest. The paper's base is the logistic law; the normal is an option.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Optimisation
from fairway.models.flow.coupling_chain import coupling_chain, perceptron
from fairway.models.flow.flow import Flow
from fairway.models.flow.transforms.transform import Chain, Transform
from fairway.models.flow.transforms.univariate import shift


class Diagonal(Transform):
    """z = e^s u, entry by entry (NICE, section 3.3).

    Args:
        dims: D.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(dims))

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return u * self.log_scale.exp(), self.log_scale.sum().expand(len(u))

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z * (-self.log_scale).exp(), -self.log_scale.sum().expand(len(z))


class NICE(Flow):
    """A chain of additive couplings and a diagonal scaling, on flattened observations.

    Args:
        event, context_event: see `Model`.
        transforms: number of couplings.
        hidden: widths of each conditioner.
        dropout: share of the conditioners' hidden units dropped in training.
        base, embedding: see `Flow`.

    >>> flow = NICE(Event((2,)), transforms=2, hidden=(8,))
    >>> flow.sample(3, generator=0).shape
    torch.Size([3, 2])
    """

    least_dims = 2
    cites = ("dinh2015nice",)
    optimisation = Optimisation(lr=2e-3, ema=0.995, clip=5.0)
    tiny = [
        Case(Event((2,)), None, {"transforms": 3, "hidden": (8,)}),
        Case(Event((1, 2, 3), "integer", low=0, high=7), None, {"transforms": 2, "hidden": (8,), "base": "normal"}),
        Case(Event((3,)), Event((), "category", levels=3), {"transforms": 3, "hidden": (8,)}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        transforms: int = 6,
        hidden: Sequence[int] = (128, 128, 128),
        dropout: float = 0.0,
        base: Any = "logistic",
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event, base=base, embedding=embedding)
        shape = tuple(s or 1 for s in self.model_event.shape)
        conditioner = perceptron(self.context_dims, hidden, dropout)
        couplings = coupling_chain(shape, shift, transforms, conditioner, "shuffle")
        self.transform = Chain([*couplings, Diagonal(self.dims)])
