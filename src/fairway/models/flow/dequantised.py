"""Variational dequantisation: the noise that makes whole numbers continuous is learned, too (Ho et al. 2019, Flow++).

    P(x) = int_[0,1)^D p(x + v) dv  >=  E_{v ~ q(v | x)} [ log p(x + v) - log q(v | x) ]          nats

p is a flow of the data, in its own units. With q uniform this is the dequantisation of every other flow here, which
asks p to be flat on each cell; a learned q puts the noise where a smooth p finds it easy, and the bound loses
KL(q(v | x) || p(x + v) / P(x)) alone. q is a flow of its own: v = sigmoid(s), where s starts as logistic noise, so that
v starts as uniform noise, and then is pushed by maps that see the whole of x:

    log q(v | x) = log q(s | x) + softplus(s) + softplus(-s)

The two learn together, by the bound. Shapes: x, v (B, *E) in data units; s (B, D).
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fairway.core.capability import HasBound, HasSample
from fairway.core.config import check_options, lookup
from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.numerics import event_sum
from fairway.core.objective import Objective, Optimisation
from fairway.core.preprocessing import Preprocessing, countable
from fairway.core.random import Rows
from fairway.models.flow.flow import Flow
from fairway.models.flow.real_nvp import RealNVP
from fairway.networks.joined import joined, width

CENTRE = 0.5  # where `Dequantise` puts a whole number that is given without noise
TINY = {"transforms": 2, "hidden": (8,)}


class VariationalDequantisation(HasBound, HasSample, Model):
    """A flow of counted data with a flow of the noise that is added to them.

    Args:
        event: counted, with its range or without. context_event: what both flows are conditioned on, or None.
        flow: the flow of the data: a registered name, or a `Flow` built on the same events, with options of its own.
        transforms, hidden: of the flow by name; the noise has half as many transforms.

    Raises:
        ValueError: events that are not counted, or a flow of others.

    >>> model = VariationalDequantisation(Event((2,), "integer", low=0, high=3), transforms=2, hidden=(8,))
    >>> model.sample(3, generator=0).shape
    torch.Size([3, 2])
    """

    accepts = ("integer", "binary")
    accepts_context = Flow.accepts_context
    cites = ("ho2019flowpp",)
    optimisation = Optimisation(lr=2e-3, ema=0.995, clip=5.0)
    tiny = [
        Case(Event((2,), "integer", low=0, high=3), None, TINY),
        Case(Event((1, 2, 3), "integer", low=0, high=7), None, TINY),
        Case(Event((3,), "binary"), Event((), "category", levels=3), TINY),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        flow: Any = "real_nvp",
        transforms: int = 8,
        hidden: Sequence[int] = (128, 128),
    ) -> None:
        super().__init__(event, context_event)
        if isinstance(flow, str):
            flow = _by_name(flow, event, context_event, {"transforms": transforms, "hidden": hidden})
        self.flow = _checked(flow, event, context_event)
        dims = event.dims
        given = Event((dims + width(None if self.context_preprocess is None else self.context_preprocess.model_event),))
        self.noise = RealNVP(Event((dims,)), given, transforms=max(transforms // 2, 1), hidden=hidden, base="logistic")

    def preprocessing(self, event: Event) -> Preprocessing:
        return countable(event)

    def default_objective(self) -> Objective:
        from fairway.objectives.elbo import ELBO

        return ELBO(warm_up=0)

    def _start(self, u: Tensor) -> None:
        """Measure the flow's units on training rows, before the first step."""
        x = self.preprocess.to_data(u)
        self.flow.preprocess.fit(x)
        if hasattr(self.flow, "_start"):
            self.flow._start(self.flow._to_model(x, Rows(0, len(x), device=self.device))[0])

    def _draw_noise(self, x: Tensor, context: Tensor | None, rows: Rows) -> tuple[Tensor, Tensor]:
        """v (B, *E) in (0, 1) and log q(v | x) (B,)."""
        centred, _ = self.flow._to_model(x)  # without noise: the middle of the cell
        s, log_s = self.noise._rsample_and_log_prob(len(x), joined(centred, context), rows)
        return torch.sigmoid(s).reshape(x.shape), log_s + event_sum(F.softplus(s) + F.softplus(-s))

    def _bound_terms(self, u: Tensor, context: Tensor | None, rows: Rows) -> dict[str, Tensor]:
        x = self.preprocess.to_data(u)
        v, log_q = self._draw_noise(x, context, rows)
        w, ladj = self.flow.preprocess.to_model(x + (v - CENTRE))
        log_p = self.flow._log_prob(w.to(self.dtype), self.flow.embed(context)) + ladj
        return {"flow": -log_p.to(log_q.dtype), "noise": log_q}

    def _sample(self, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        w = self.flow._sample(n, self.flow.embed(context), rows)
        return self.preprocess.to_model(self.flow._to_data(w))[0]


def _checked(flow: Any, event: Event, context_event: Event | None) -> Flow:
    if not isinstance(flow, Flow):
        raise ValueError(f"expected a flow, or the name of one, got {getattr(flow, 'name', lambda: flow)()}")
    if not event.counted or (flow.event, flow.context_event) != (event, context_event):
        raise ValueError(f"expected a flow of {event} given {context_event}, got one of {flow.event}")
    return flow


def _by_name(name: str, event: Event, context_event: Event | None, options: dict[str, Any]) -> Any:
    """A flow in the units of uniform levels, until it has seen data."""
    cls = lookup("model", name)
    check_options(cls, options, f"the flow {name!r}")
    flow = cls(event, context_event, **options)
    if event.levels:
        levels = torch.arange(event.levels) + event.offset
        flow.preprocess.fit(levels.reshape(-1, *[1] * len(event.shape)).expand(-1, *(s or 1 for s in event.shape)))
    return flow
