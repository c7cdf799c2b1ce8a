"""Stochastic interpolants: a flow from one set of points to another.

    u_t = (1 - t) u_0 + t u_1 (+ gamma(t) z)      u_0 data, t = 0;   u_1 the source, t = 1
    learn      E |v(u_t, t) - du_t/dt|^2          see `objectives.interpolation`
    sample     du/dt = v(u, t) from t = 1 to t = 0, starting at points of the source
    density    log p(u) = log p_1(u(1)) + integral over t of tr(dv/du)  along the line that starts at u

The source is K points; its law p_1 is what they are under a Gaussian kernel, (1/K) sum_k N(u; x_k, h^2 I), which can be
drawn from and has a density, so the model has one. Without a source p_1 = N(0, I) and this is flow matching. Points of
your own are pushed through by `model.sample(n, init=points)`, which draws nothing.
Source: Albergo, Boffi and Vanden-Eijnden 2023, Stochastic Interpolants: A Unifying Framework for Flows and Diffusions.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.numerics import standard_normal_log_prob
from fairway.core.objective import Objective
from fairway.core.preprocessing import Preprocessing
from fairway.core.random import Rows
from fairway.core.sampler import Sampler
from fairway.models.diffusion.default_network import CONTEXT_DROPOUT, default_network, units
from fairway.models.diffusion.probability_flow import FlowLatent
from fairway.objectives.interpolation import Interpolation
from fairway.samplers.ode import ProbabilityFlow

DISTANCES = 2**22  # between rows and source points, held at once
TINY = {"hidden": (8, 8)}


class Interpolant(FlowLatent, Model):
    """A velocity field that carries a source into the data; density by the same ODE ("numerical").

    `encode` says which point of the source, in model units, an observation came from.

    Args:
        event, context_event: what is modelled, and given what (labels or numbers).
        source: (K, *E) points in data units that t = 1 is made of; none for N(0, I). Weights files keep them.
        bandwidth: h, in model units, where data have scale 1.
        hidden: of the default network: widths of a perceptron's blocks, or channels of a U-Net at each size (None: see
            `default_network`).
        context_dropout: share of rows that lose their context in training, so that there is guidance.
        network: your own module (u (B, *U), t (B,), context (B, ...) or None) -> (B, *U) in place of the default.

    Raises:
        ValueError: points of another shape, or a bandwidth that is not positive.

    >>> model = Interpolant(Event((2,)), source=[[5.0, 0.0], [-5.0, 0.0]], hidden=(8,))
    >>> model.sample(2, init=torch.ones(2, 2))  # before training nothing moves
    tensor([[1., 1.],
            [1., 1.]])
    """

    draws_roughly = True
    cites = ("albergo2023stochastic", "lipman2023flow_matching")
    accepts_context = ("category", "real", "bounded", "positive", "integer", "binary")
    tiny = [
        Case(Event((2,)), None, TINY),
        Case(Event((1, 2), "integer", low=0, high=2), Event((), "category", levels=3), TINY),
        Case(Event((1, 2, 2), "bounded", low=0.0, high=1.0), Event((2,)), TINY),
    ]

    source: Tensor

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        source: Any = (),
        bandwidth: float = 0.05,
        hidden: Sequence[int] | None = None,
        context_dropout: float = CONTEXT_DROPOUT,
        network: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event)
        if not bandwidth > 0:
            raise ValueError(f"expected a bandwidth above 0, got {bandwidth}")
        self.register_buffer("source", self._checked_source(source))
        self.arguments["source"] = ()  # points are kept with the weights, not in a configuration
        self.bandwidth = bandwidth
        self.network = network or default_network(self, hidden, context_dropout)

    def preprocessing(self, event: Event) -> Preprocessing:
        return units(event)

    def _checked_source(self, source: Any) -> Tensor:
        """(K, *E), K = 0 for none."""
        if not len(source):
            return torch.empty(0, *(s or 1 for s in self.event.shape))
        return self.event.check_rows(source, "source").to(torch.get_default_dtype())

    def _velocity(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.network(u, t, context)
        return out.to(u.dtype)

    def _prior(self, rows: Rows) -> Tensor:
        noise = super()._prior(rows)
        if not len(self.source):
            return noise
        points = self.source[rows.integers(len(self.source))]
        return self._points(points) + self.bandwidth * noise

    def _log_prior(self, u: Tensor) -> Tensor:
        if not len(self.source):
            return standard_normal_log_prob(u)
        points = self._points(self.source).to(u).flatten(1)
        chunks = u.flatten(1).split(max(DISTANCES // len(points), 1))
        return torch.cat([self._log_kernel(chunk, points) for chunk in chunks])

    def _points(self, x: Tensor) -> Tensor:
        """Source points (n, *E) in model units; counted ones at the centre of their cell."""
        return self._to_model(x)[0].to(self.dtype)

    def _log_kernel(self, u: Tensor, points: Tensor) -> Tensor:
        """(B,): log of the mean of the kernels around the points (K, D), at u (B, D)."""
        h, (n, dims) = self.bandwidth, points.shape
        squares = u.square().sum(1, keepdim=True) + points.square().sum(1) - 2 * u @ points.T
        constant = dims * math.log(h * math.sqrt(2 * math.pi)) + math.log(n)
        return (-squares / (2 * h**2)).logsumexp(1) - constant

    def default_sampler(self) -> Sampler:
        return ProbabilityFlow()

    def default_objective(self) -> Objective:
        return Interpolation()
