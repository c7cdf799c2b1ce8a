"""The planar flow: ridges that push the base aside, one after the other (Rezende and Mohamed 2015).

    u = f_K o ... o f_1(z),   f_k(z) = z + v_k tanh(w_k.z + b_k)

    log p(u) = log p(z) - sum_k log(1 + w_k.v_k h'_k)

Each step bends space along one direction, so it takes many of them where D is large. They run from the latent to the
data: made for draws whose density is wanted at the same points, as the posterior of a latent-variable model or a fit to
a density that is known up to a constant (`fairway.approximate`). The density of given data takes the inverse, one
increasing equation per row and step (see `transforms.planar`), exact to rounding.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Optimisation
from fairway.models.flow.flow import Flow
from fairway.models.flow.transforms.planar import Planar
from fairway.models.flow.transforms.radial import Radial
from fairway.models.flow.transforms.transform import Chain


class PlanarFlow(Flow):
    """A chain of planar maps.

    Args:
        event, context_event: see `Model`.
        transforms: number of maps.
        hidden: widths of the networks from the context to the parameters of each map (no context: not used).
        base, embedding: see `Flow`.

    >>> flow = PlanarFlow(Event((2,)), transforms=2)
    >>> flow.sample(3, generator=0).shape
    torch.Size([3, 2])
    """

    step: ClassVar[type[Planar] | type[Radial]] = Planar
    cites = ("rezende2015flows",)
    optimisation = Optimisation(lr=5e-3, ema=0.995, clip=5.0)
    tiny = [
        Case(Event((2,)), None, {"transforms": 3}),
        Case(Event((1, 2, 3), "integer", low=0, high=7), None, {"transforms": 2}),
        Case(Event((3,)), Event((), "category", levels=3), {"transforms": 2, "hidden": (8,)}),
        Case(Event((1,), "bounded", low=-1.0, high=3.0), Event((2,)), {"transforms": 2, "hidden": ()}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        transforms: int = 16,
        hidden: Sequence[int] = (64,),
        base: Any = "normal",
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event, base=base, embedding=embedding)
        self.transform = Chain([self.step(self.dims, self.context_dims, hidden) for _ in range(transforms)])
