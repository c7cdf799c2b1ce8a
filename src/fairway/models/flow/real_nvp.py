"""RealNVP: affine couplings (Dinh, Sohl-Dickstein and Bengio 2017, Density estimation using Real NVP).

    z_a = u_a,   z_b = u_b e^{s(u_a)} + t(u_a)        log|det| = sum s(u_a)         (eq. 4 to 6)

Both directions cost one pass: exact density and one-stroke samples. Halves alternate between a checkerboard (the even
entries of a vector) and random fixed permutations, so that every entry moves given its neighbours and given far ones.
Scales are bounded smoothly and conditioners start at zero: the flow starts as the identity.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Optimisation
from fairway.core.random import generator_for
from fairway.models.flow.flow import Flow
from fairway.models.flow.transforms.coupling import Coupling
from fairway.models.flow.transforms.permutation import Permutation, checkerboard
from fairway.models.flow.transforms.transform import Chain, Transform
from fairway.models.flow.transforms.univariate import affine
from fairway.networks.mlp import MLP


class RealNVP(Flow):
    """A chain of affine couplings.

    Args:
        event, context_event: see `Model`.
        transforms: number of couplings.
        hidden: widths of each conditioner.
        dropout: share of the conditioners' hidden units dropped in training (None: 0.2 for images, of which a small
            set is soon learned by heart, 0 for tables).

    >>> flow = RealNVP(Event((2,)), transforms=2, hidden=(8,))
    >>> flow.sample(3, generator=0).shape
    torch.Size([3, 2])
    """

    least_dims = 2
    cites = ("dinh2017real_nvp",)
    optimisation = Optimisation(lr=2e-3, ema=0.995, clip=5.0)
    tiny = [
        Case(Event((2,)), None, {"transforms": 3, "hidden": (8,)}),
        Case(Event((1, 2, 3), "integer", low=0, high=7), None, {"transforms": 2, "hidden": (8,)}),
        Case(Event((3,)), Event((), "category", levels=3), {"transforms": 3, "hidden": (8,)}),
        Case(Event((2,), "bounded", low=-1.0, high=3.0), Event((2,)), {"transforms": 2, "hidden": (8,)}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        transforms: int = 8,
        hidden: Sequence[int] = (128, 128),
        dropout: float | None = None,
        base: Any = "normal",
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event, base=base, embedding=embedding)
        dropout = (0.2 if event.image else 0.0) if dropout is None else dropout
        shape = tuple(s or 1 for s in self.model_event.shape)
        links: list[Transform] = []
        for i in range(transforms):
            if i % 4 == 0:  # two couplings, one for each colour, then two under a random split
                links.append(Permutation(checkerboard(shape) if i == 0 else self._shuffle(i)))
            elif i % 4 == 2:
                links.append(Permutation(self._shuffle(i)))
            links.append(self._coupling(swap=bool(i % 2), hidden=hidden, dropout=dropout))
        self.transform = Chain(links)

    @property
    def compiles(self) -> bool:
        """On tables: many small operations; on images products of matrices take the time."""
        return not self.event.image

    def _shuffle(self, index: int) -> torch.Tensor:
        return torch.randperm(self.dims, generator=generator_for(index))

    def _coupling(self, swap: bool, hidden: Sequence[int], dropout: float) -> Coupling:
        kept, moved = Coupling.sizes(self.dims, swap)
        network = MLP(kept + self.context_dims, affine.parameters * moved, hidden, act="relu", dropout=dropout)
        torch.nn.init.zeros_(network.last.weight)
        torch.nn.init.zeros_(network.last.bias)
        return Coupling(self.dims, affine, network, swap)
