"""Masked autoregressive flows (Papamakarios, Pavlakou and Murray 2017), fast in density or fast in draws.

    fast="density"   z_i = u_i e^{s_i(u_<i)} + t_i(u_<i)     one pass for a density: MAF (eq. 3 and 4)
    fast="sample"    u_i = z_i e^{s_i(z_<i)} + t_i(z_<i)     one pass for a draw: IAF (Kingma et al. 2016)
    log|det dz/du|   = sum_i s_i, minus that for IAF

It is one map, taken one way round or the other. The slow direction is inverted entry by entry with every weight of the
network used once, so that it costs about one pass, too (see `transforms.autoregressive`); fast and slow differ by the
work that can run side by side. The order of the entries turns round from one map to the next.
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
from fairway.models.flow.transforms.autoregressive import Autoregressive
from fairway.models.flow.transforms.transform import Chain, Inverse, Transform
from fairway.models.flow.transforms.univariate import Univariate, affine
from fairway.networks.masked import MaskedMLP

TINY = {"transforms": 2, "hidden": (8,)}
FAST, ORDERINGS = ("density", "sample"), ("reverse", "random")


def autoregressive_chain(
    dims: int, univariate: Univariate, hidden: Sequence[int], context: int, orders: Sequence[Sequence[int]]
) -> list[Transform]:
    """One autoregressive map per order, each the identity at the start.

    Args:
        dims: D.
        univariate: the map of an entry.
        hidden: widths of each masked network.
        context: width of the context.
        orders: the entries from first to last, for each map.
    """
    links: list[Transform] = []
    for order in orders:
        network = MaskedMLP(dims, univariate.parameters, hidden, context=context, order=order, act="relu")
        network.last.zero()
        links.append(Autoregressive(univariate, network))
    return links


def orders_of(dims: int, transforms: int, ordering: str) -> list[list[int]]:
    """The entries from first to last for each of some maps: the natural order first, then reversed or random ones.

    Raises:
        ValueError: an unknown ordering.
    """
    if ordering not in ORDERINGS:
        raise ValueError(f"expected an ordering among {', '.join(ORDERINGS)}, got {ordering!r}")
    natural = list(range(dims))
    if ordering == "reverse":
        return [natural[:: -1 if i % 2 else 1] for i in range(transforms)]
    return [torch.randperm(dims, generator=generator_for(i)).tolist() if i else natural for i in range(transforms)]


class MAF(Flow):
    """A chain of masked autoregressive affine maps, on flattened observations.

    Args:
        event, context_event: see `Model`.
        transforms: number of maps.
        hidden: widths of each masked network.
        fast: "density" (MAF) or "sample" (IAF), the direction of one parallel pass.
        ordering: "reverse" or "random", of the entries from map to map.
        base, embedding: see `Flow`.

    Raises:
        ValueError: an unknown fast or ordering.

    >>> flow = MAF(Event((3,)), transforms=2, hidden=(8,))
    >>> flow.sample(4, generator=0).shape
    torch.Size([4, 3])
    """

    cites = ("papamakarios2017maf",)
    optimisation = Optimisation(lr=1e-3, ema=0.995, clip=5.0)
    tiny = [
        Case(Event((2,)), None, TINY),
        Case(Event((1, 2, 3), "integer", low=0, high=7), None, {**TINY, "ordering": "random"}),
        Case(Event((3,)), Event((), "category", levels=3), TINY),
        Case(Event((2,), "bounded", low=-1.0, high=3.0), Event((2,)), TINY),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        transforms: int = 5,
        hidden: Sequence[int] = (128, 128),
        fast: str = "density",
        ordering: str = "reverse",
        base: Any = "normal",
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event, base=base, embedding=embedding)
        if fast not in FAST:
            raise ValueError(f"expected fast as one of {', '.join(FAST)}, got {fast!r}")
        orders = orders_of(self.dims, transforms, ordering)
        links = autoregressive_chain(self.dims, affine, hidden, self.context_dims, orders)
        self.transform = Chain(links if fast == "density" else [Inverse(link) for link in links])
