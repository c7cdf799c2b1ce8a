"""Neural spline flows (Durkan, Bekasov, Murray and Papamakarios 2019).

    z_i = spline(u_i; phi_i)      phi = widths, heights and slopes of K bins on [-B, B], the identity outside
    kind="coupling"               phi from the other half: both directions cost one pass     (RQ-NSF (C))
    kind="autoregressive"         phi from the entries before: more flexible, draws go entry by entry   (RQ-NSF (AR))

A spline bends a density into several modes where an affine map can only shift and stretch it. Couplings are mixed by
learned matrices; of a mean 0 and standard deviation 1 per entry, the box [-5, 5] holds all but outliers, which the
identity carries.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Optimisation
from fairway.models.flow.coupling_chain import coupling_chain, perceptron
from fairway.models.flow.flow import Flow
from fairway.models.flow.maf import autoregressive_chain, orders_of
from fairway.models.flow.transforms.rational_quadratic import rational_quadratic
from fairway.models.flow.transforms.transform import Chain

TINY = {"transforms": 2, "hidden": (8,), "bins": 4}
KINDS = ("coupling", "autoregressive")


class NSF(Flow):
    """A chain of rational-quadratic splines, on flattened observations.

    Args:
        event, context_event: see `Model`.
        transforms: number of couplings or autoregressive maps.
        hidden: widths of each conditioner.
        bins: of each spline.
        kind: "coupling" or "autoregressive".
        mixing: between couplings: "linear", "shuffle" or "halves" (see `coupling_chain`).
        base, embedding: see `Flow`.

    Raises:
        ValueError: an unknown kind or mixing; couplings of a single entry.

    >>> flow = NSF(Event((2,)), transforms=2, hidden=(8,))
    >>> flow.sample(3, generator=0).shape
    torch.Size([3, 2])
    """

    cites = ("durkan2019nsf",)
    optimisation = Optimisation(lr=1e-3, ema=0.995, clip=5.0)
    tiny = [
        Case(Event((2,)), None, TINY),
        Case(Event((1, 2, 3), "integer", low=0, high=7), None, {**TINY, "mixing": "shuffle"}),
        Case(Event((3,)), Event((), "category", levels=3), {**TINY, "kind": "autoregressive"}),
        Case(Event((2,), "bounded", low=-1.0, high=3.0), Event((2,)), TINY),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        transforms: int = 5,
        hidden: Sequence[int] = (128, 128),
        bins: int = 8,
        kind: str = "coupling",
        mixing: str = "linear",
        base: Any = "normal",
        embedding: nn.Module | None = None,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"expected a kind among {', '.join(KINDS)}, got {kind!r}")
        super().__init__(event, context_event, base=base, embedding=embedding)
        univariate = rational_quadratic(bins)
        if kind == "autoregressive":
            orders = orders_of(self.dims, transforms, "reverse")
            links = autoregressive_chain(self.dims, univariate, hidden, self.context_dims, orders)
        else:
            shape, conditioner = tuple(s or 1 for s in self.model_event.shape), perceptron(self.context_dims, hidden)
            links = coupling_chain(shape, univariate, transforms, conditioner, mixing)
        self.transform = Chain(links)
