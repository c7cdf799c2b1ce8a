"""The radial flow: the base swells or shrinks around points, one after the other (Rezende and Mohamed 2015).

    u = f_K o ... o f_1(z),   f_k(z) = z + beta_k (z - z_k) / (alpha_k + |z - z_k|)

    log p(u) = log p(z) - sum_k [(D - 1) log(1 + beta_k h_k) + log(1 + beta_k alpha_k h_k^2)],   h_k = 1 / (alpha_k + r_k)

D + 2 numbers a step. Both directions are closed forms (see `transforms.radial`), so it learns from data as well as it
serves as a posterior; what it can say is blunt, mass moved to or from balls.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Optimisation
from fairway.models.flow.flow import Flow
from fairway.models.flow.transforms.radial import Radial
from fairway.models.flow.transforms.transform import Chain


class RadialFlow(Flow):
    """A chain of radial maps.

    Args:
        event, context_event: see `Model`.
        transforms: number of maps.
        hidden: widths of the networks from the context to the parameters of each map (no context: not used).
        base, embedding: see `Flow`.

    >>> flow = RadialFlow(Event((2,)), transforms=2)
    >>> flow.sample(3, generator=0).shape
    torch.Size([3, 2])
    """

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
        self.transform = Chain([Radial(self.dims, self.context_dims, hidden) for _ in range(transforms)])
