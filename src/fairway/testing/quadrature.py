"""The mass of a density on a plane, and of a probability on a list: what must come to one.

A `Chart` carries the open unit square to the support, x = unit^-1(m + c L logit(v)), with m and L L' the middle and the
spread of some samples; then

    int p(x) dx = int_[0,1]^2 p(x(v)) |dx/dv| dv  =  mean over the midpoints of a grid

whatever the scales, and with exponentially small error for smooth densities: the logistic tails of the chart reach
further than a normal's, so that nothing is cut off. The grid is refined until two refinements agree.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fairway.core.event import Event

REACH = 1.3  # wide enough that a normal density vanishes smoothly at the edge of the square: 24 cells do for 1e-3
GRIDS = (24, 48, 96, 192, 384)
ENUMERABLE = 4096


@dataclass
class Chart:
    """A map from the open unit cube (n, D) to the support of an event with D entries.

    Args:
        event: a continuous event. middle: (D,), spread: (D, D) lower triangular, on the real line.
    """

    event: Event
    middle: Tensor
    spread: Tensor

    @classmethod
    def around(cls, event: Event, samples: Tensor) -> "Chart":
        """Centred on samples (n, *E); the outer twentieths are pulled in first, so that no tail sets the scale."""
        y = _to_line(event, samples.double().flatten(1))
        low, high = torch.quantile(y, torch.tensor([0.05, 0.95], dtype=y.dtype), dim=0)
        y = y.clamp(low, high)
        covariance = torch.atleast_2d(y.T.cov())
        ridge = 1e-6 * covariance.diagonal() + 1e-300
        return cls(event, y.mean(0), torch.linalg.cholesky(covariance + ridge.diag()))

    def to_data(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """v (n, D) -> x (n, *E) and log |dx/dv| (n,)."""
        y = self.middle + REACH * torch.logit(v) @ self.spread.T
        x, slope = _from_line(self.event, y)
        constant = self.spread.diagonal().log().sum() + len(self.middle) * math.log(REACH)
        ladj = slope.sum(1) + constant - (v.log() + torch.log1p(-v)).sum(1)
        return x.reshape(len(v), *self.event.shape), ladj  # type: ignore[arg-type]

    def to_cube(self, x: Tensor) -> Tensor:
        """x (n, *E) -> v (n, D)."""
        y = _to_line(self.event, x.double().flatten(1))
        return torch.sigmoid(torch.linalg.solve_triangular(self.spread, (y - self.middle).T, upper=False).T / REACH)


@dataclass
class Mass:
    """A density on a grid: total mass, mass (k, ..., k) and log density of every cell, and the chart."""

    total: float
    cells: Tensor
    log_density: Tensor
    chart: Chart

    @property
    def entropy(self) -> float:
        """-int p log p, nats."""
        return -float((self.cells * torch.where(self.cells > 0, self.log_density, 0.0)).sum())

    def counts(self, samples: Tensor, coarse: int) -> tuple[Tensor, Tensor]:
        """Samples per coarse cell, and the number expected of so many samples; (coarse^D,) each."""
        dims, size = self.cells.ndim, len(self.cells)
        index = (self.chart.to_cube(samples) * coarse).long().clamp(0, coarse - 1)
        flat = sum(index[:, i] * coarse ** (dims - 1 - i) for i in range(dims))
        observed = torch.bincount(torch.as_tensor(flat), minlength=coarse**dims)
        blocks = self.cells.reshape([k for _ in range(dims) for k in (coarse, size // coarse)])
        expected = blocks.sum(list(range(1, 2 * dims, 2))).flatten()
        return observed, expected / expected.sum() * len(samples)


def integrate_density(
    log_density: Callable[[Tensor], Tensor], chart: Chart, tolerance: float = 1e-3, grids: Sequence[int] = GRIDS
) -> Mass:
    """The mass of exp(log_density) over the chart, refined until two grids agree within the relative tolerance.

    Args:
        log_density: x (n, *E) -> (n,).
        chart: where to look.
        grids: cells along an axis, coarse to fine.
    """
    before = math.nan
    dims = len(chart.middle)
    for size in grids:
        v = _midpoints(size, dims)
        x, ladj = chart.to_data(v)
        value = log_density(x).double()
        cells = (value + ladj).exp().nan_to_num(nan=math.inf) / len(v)
        total = float(cells.sum())
        if abs(total - before) < tolerance * total:
            break
        before = total
    return Mass(total, cells.reshape([size] * dims), value.reshape([size] * dims), chart)


def enumerable(event: Event, limit: int = ENUMERABLE) -> bool:
    """Whether every value of a counted event fits in a list of this length."""
    fixed = all(s is not None for s in event.shape)
    return event.counted and event.levels is not None and fixed and event.levels**event.dims <= limit


def every_value(event: Event) -> Tensor:
    """(levels^D, *E): every value of a counted event."""
    values = torch.tensor(list(itertools.product(range(event.levels or 0), repeat=event.dims)))
    return values.reshape(-1, *event.shape) + event.offset  # type: ignore[arg-type]


def _midpoints(size: int, dims: int) -> Tensor:
    axis = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    return torch.cartesian_prod(*[axis] * dims).reshape(-1, dims)


def _to_line(event: Event, x: Tensor) -> Tensor:
    """The support's entries on the real line."""
    if event.kind == "bounded":
        share = (x - float(event.low or 0)) / float((event.high or 0) - (event.low or 0))
        return torch.logit(share.clamp(1e-15, 1 - 1e-15))
    return x.log() if event.kind == "positive" else x


def _from_line(event: Event, y: Tensor) -> tuple[Tensor, Tensor]:
    """y -> x with log dx/dy, entry by entry."""
    if event.kind == "bounded":
        span = float((event.high or 0) - (event.low or 0))
        slope = torch.nn.functional.logsigmoid(y) + torch.nn.functional.logsigmoid(-y) + math.log(span)
        return float(event.low or 0) + span * torch.sigmoid(y), slope
    return (y.exp(), y) if event.kind == "positive" else (y, torch.zeros_like(y))
