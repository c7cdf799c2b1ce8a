"""Data units <-> model units, with the log-determinant that keeps densities honest.

    u = T(x),   log p_X(x) = log p_U(T(x)) + log|det dT/dx|

=============  =====================================  =====================  ==========================
map            u                                      log|det| per entry     what it says of densities
=============  =====================================  =====================  ==========================
standardise    (x - mean) / std                       -log std               exact
logit          logit(m + (1 - 2m) (x - low)/range)    closed form            exact
symmetric      2 (x - low) / range - 1                log(2 / range)         exact
log            log x                                  -log x                 exact
dequantise     x + U[0, 1)                            0                      bound (Theis et al. 2016)
levels         x - low, whole numbers                 0                      exact
one_hot        e_x                                    0                      none (of a density of u)
=============  =====================================  =====================  ==========================

Dequantising: log P(x) = log int p(x + v) dv >= E_v log p(x + v), so a continuous density of counted data is a bound.
Statistics are kept in float64 whatever the model's precision: a column of scale 3e-3 at 1e3 survives. They are
sums over chunks of rows, so that data larger than memory are measured as data in memory are, in the same bits.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.core.event import Event
from fairway.core.extent import chunks
from fairway.core.numerics import event_sum
from fairway.core.random import Rows
from fairway.core.registry import Registry

Density = Literal["exact", "bound", "none"]

PREPROCESSINGS = {
    "identity": "fairway.core.preprocessing:Identity",
    "standardise": "fairway.core.preprocessing:Standardise",
    "logit": "fairway.core.preprocessing:Logit",
    "symmetric": "fairway.core.preprocessing:Symmetric",
    "log": "fairway.core.preprocessing:Log",
    "dequantise": "fairway.core.preprocessing:Dequantise",
    "levels": "fairway.core.preprocessing:Levels",
    "base_rates": "fairway.models.energy.base_rates:BaseRates",
    "one_hot": "fairway.core.preprocessing:OneHot",
    "chain": "fairway.core.preprocessing:Chain",
}
preprocessings = Registry("preprocessing", PREPROCESSINGS)


class Preprocessing(Configurable, nn.Module, ABC):
    """One invertible map between data units and model units.

    Args:
        event: the event in data units; `model_event` is the one in model units.
    """

    role: ClassVar[str] = "preprocessing"
    density: Density = "exact"
    random: bool = False  # draws noise on the way to model units

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event

    @property
    def model_event(self) -> Event:
        """The event in model units."""
        return Event(self.event.shape, missing=self.event.missing)

    def fit(self, x: Tensor) -> None:
        """Measure what the map needs from data (n, *E); nothing by default."""

    def fit_chunks(self, parts: Iterable[Tensor]) -> None:
        """`fit`, to data that come as runs of rows.

        Args:
            parts: an iterable that can be gone through more than once. A map that only knows `fit` gets all rows.
        """
        if type(self).fit is not Preprocessing.fit:
            self.fit(torch.cat(list(parts)))

    @abstractmethod
    def to_model(self, x: Tensor, rows: Rows | None = None) -> tuple[Tensor, Tensor]:
        """x (B, *E) -> u (B, *U) and ladj (B,) in float64; without `rows`, a random map takes its centre."""

    @abstractmethod
    def to_data(self, u: Tensor) -> Tensor:
        """u (B, *U) -> x (B, *E)."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Move devices, but never leave float64."""
        for key, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[key] = buffer.to(fn(buffer).device)
        for child in self.children():
            child._apply(fn)
        return self


def _zeros(x: Tensor) -> Tensor:
    return torch.zeros(len(x), dtype=torch.float64, device=x.device)


class Identity(Preprocessing):
    """u = x: the data are in model units already."""

    @property
    def model_event(self) -> Event:
        return self.event

    def to_model(self, x: Tensor, rows: Rows | None = None) -> tuple[Tensor, Tensor]:
        return x, _zeros(x)

    def to_data(self, u: Tensor) -> Tensor:
        return u


class Standardise(Preprocessing):
    """u = scale (x - mean) / std: per column of a table, per channel of an image (a constant pixel has no scale).

    Args:
        event: what one observation is.
        scale: of u.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, event: Event, scale: float = 1.0) -> None:
        super().__init__(event)
        self.scale = scale
        shape = event.shape if len(event.shape) < 2 else (event.shape[0], 1, 1) if len(event.shape) == 3 else (1, 1)
        self.register_buffer("mean", torch.zeros([s or 1 for s in shape], dtype=torch.float64))
        self.register_buffer("std", torch.ones([s or 1 for s in shape], dtype=torch.float64))

    def fit(self, x: Tensor) -> None:
        self.fit_chunks(chunks(x))

    def fit_chunks(self, parts: Iterable[Tensor]) -> None:
        count = total = squares = torch.zeros((), dtype=torch.float64, device=self.mean.device)
        for x in parts:
            here, many = self._sums(x.double())
            count, total = count + many, total + here
        mean = total / count
        for x in parts:
            squares = squares + self._sums((x.double() - mean).square_())[0]
        if not bool(squares.isfinite().all()):
            raise ValueError(f"expected values whose squares float64 holds, got a mean of {float(mean.abs().max()):g}")
        self.mean.copy_(mean.reshape(self.mean.shape))
        self.std.copy_((squares / count).sqrt().reshape(self.std.shape).clamp(min=1e-12))

    def _sums(self, x: Tensor) -> tuple[Tensor, Tensor | float]:
        """Sums over rows (and the pixels of a channel) without gaps, and over how many entries."""
        axes = self._axes(x)
        total = x.sum(axes, keepdim=True)
        if not bool(total.isnan().any()):
            return total, x.numel() / total.numel()
        return x.nansum(axes, keepdim=True), (~x.isnan()).sum(axes, keepdim=True)

    def _axes(self, x: Tensor) -> list[int]:
        """Over rows, and over the pixels of a channel."""
        return [0] + [i + 1 for i, s in enumerate(self.mean.shape) if s == 1 and x.shape[i + 1] != 1]

    def to_model(self, x: Tensor, rows: Rows | None = None) -> tuple[Tensor, Tensor]:
        std = self.std / self.scale
        ladj = -(std.log().expand([s or 1 for s in self.event.shape])).sum()
        return (x.double() - self.mean) / std, ladj.expand(len(x))

    def to_data(self, u: Tensor) -> Tensor:
        return u.double() * (self.std / self.scale) + self.mean


class Logit(Preprocessing):
    """u = logit(margin + (1 - 2 margin)(x - low) / (high - low)), for a bounded event (RealNVP, section 4.1).

    A margin above 0 keeps the ends finite; the model then also covers a sliver outside the range, which costs it
    likelihood but never inflates it. Outside of that, the density is 0.
    """

    def __init__(self, event: Event, margin: float = 1e-6) -> None:
        super().__init__(event)
        if event.low is None or event.high is None:
            raise ValueError(f"expected an event with low and high for logit, got {event}")
        self.margin, self.low, self.span = margin, float(event.low), float(event.high - event.low)

    def to_model(self, x: Tensor, rows: Rows | None = None) -> tuple[Tensor, Tensor]:
        p = self.margin + (1 - 2 * self.margin) * (x.double() - self.low) / self.span
        inside = (p > 0) & (p < 1)
        p = torch.where(inside | torch.isnan(p), p, 0.5)  # a gap stays a gap
        u = torch.logit(p)
        slope = math.log((1 - 2 * self.margin) / self.span) - p.log() - torch.log1p(-p)
        return u, event_sum(torch.where(inside, slope, -math.inf))

    def to_data(self, u: Tensor) -> Tensor:
        x = self.low + self.span * (torch.sigmoid(u.double()) - self.margin) / (1 - 2 * self.margin)
        return x.clamp(self.low, self.low + self.span)


class Symmetric(Preprocessing):
    """u = 2 (x - low) / (high - low) - 1, for a bounded event: the range of a tanh (Radford et al. 2016, section 3)."""

    def __init__(self, event: Event) -> None:
        super().__init__(event)
        if event.low is None or event.high is None:
            raise ValueError(f"expected an event with low and high to carry to [-1, 1], got {event}")
        self.low, self.span = float(event.low), float(event.high - event.low)

    def to_model(self, x: Tensor, rows: Rows | None = None) -> tuple[Tensor, Tensor]:
        ladj = self.event.dims * math.log(2 / self.span)
        return 2 * (x.double() - self.low) / self.span - 1, _zeros(x) + ladj

    def to_data(self, u: Tensor) -> Tensor:
        return (self.low + self.span * (u.double() + 1) / 2).clamp(self.low, self.low + self.span)


class Log(Preprocessing):
    """u = log x, for a positive event; the density of x <= 0 is 0."""

    def to_model(self, x: Tensor, rows: Rows | None = None) -> tuple[Tensor, Tensor]:
        x = x.double()
        u = torch.where((x > 0) | torch.isnan(x), x, 1.0).log()
        return u, event_sum(torch.where(x > 0, -u, -math.inf))

    def to_data(self, u: Tensor) -> Tensor:
        return u.double().exp()


class Dequantise(Preprocessing):
    """u = x + v with v ~ U[0, 1)^E: whole numbers become continuous; back by the floor."""

    density: Density = "bound"
    random = True

    @property
    def model_event(self) -> Event:
        if self.event.levels is None:
            return Event(self.event.shape)
        low = self.event.offset
        return Event(self.event.shape, "bounded", low=low, high=low + self.event.levels)

    def to_model(self, x: Tensor, rows: Rows | None = None) -> tuple[Tensor, Tensor]:
        noise: Tensor | float = 0.5 if rows is None else rows.uniform(*x.shape[1:]).double()
        return x.double() + noise, _zeros(x)

    def to_data(self, u: Tensor) -> Tensor:
        x = u.floor()
        if self.event.levels is None:
            return x
        return x.clamp(self.event.offset, self.event.offset + self.event.levels - 1)


class Levels(Preprocessing):
    """u = x - low: whole numbers 0, ..., levels - 1, for models of probabilities."""

    @property
    def model_event(self) -> Event:
        if self.event.kind == "integer":
            return Event(self.event.shape, "integer", low=0, high=(self.event.levels or 1) - 1)
        return self.event

    def to_model(self, x: Tensor, rows: Rows | None = None) -> tuple[Tensor, Tensor]:
        return x - self.event.offset if x.is_floating_point() else x.long() - self.event.offset, _zeros(x)

    def to_data(self, u: Tensor) -> Tensor:
        return u + self.event.offset


class OneHot(Preprocessing):
    """u = the unit vector of the level, (B, *E, levels): for context, and for models without densities."""

    density: Density = "none"

    @property
    def model_event(self) -> Event:
        return Event((*self.event.shape, self.event.levels))

    def to_model(self, x: Tensor, rows: Rows | None = None) -> tuple[Tensor, Tensor]:
        return F.one_hot(x.long() - self.event.offset, self.event.levels or 1).double(), _zeros(x)

    def to_data(self, u: Tensor) -> Tensor:
        return u.argmax(-1) + self.event.offset


class Chain(Preprocessing):
    """Maps one after the other; log-determinants add.

    Args:
        maps: each starts from the model event of the one before it.
    """

    def __init__(self, maps: Sequence[Preprocessing]) -> None:
        super().__init__(maps[0].event)
        self.maps = nn.ModuleList(maps)

    @property
    def density(self) -> Density:  # type: ignore[override]
        said = {m.density for m in self.maps}
        return "none" if "none" in said else "bound" if "bound" in said else "exact"

    @property
    def random(self) -> bool:  # type: ignore[override]
        return any(m.random for m in self.maps)

    @property
    def model_event(self) -> Event:
        event: Event = self.maps[-1].model_event  # type: ignore[assignment]
        return event

    def fit(self, x: Tensor) -> None:
        self.fit_chunks(chunks(x))

    def fit_chunks(self, parts: Iterable[Tensor]) -> None:
        for i, m in enumerate(self.maps):
            m.fit_chunks(_Through(parts, self.maps[:i]))  # type: ignore[operator]

    def to_model(self, x: Tensor, rows: Rows | None = None) -> tuple[Tensor, Tensor]:
        total = _zeros(x)
        for m in self.maps:
            x, ladj = m.to_model(x, rows)  # type: ignore[operator]
            total = total + ladj
        return x, total

    def to_data(self, u: Tensor) -> Tensor:
        for m in reversed(self.maps):
            u = m.to_data(u)  # type: ignore[operator]
        return u


class _Through:
    """Runs of rows after some maps, computed anew each time they are asked for.

    With noise: a counted column that hardly varies still has the spread of its cell after dequantising.
    """

    def __init__(self, parts: Iterable[Tensor], maps: Iterable[Any]) -> None:
        self.parts, self.maps = parts, list(maps)

    def __iter__(self) -> Iterator[Tensor]:
        start = 0
        for x in self.parts:
            rows = Rows(0, len(x), start, torch.float64, x.device)
            start += len(x)
            for m in self.maps:
                x, _ = m.to_model(x, rows)
            yield x


def continuous(event: Event) -> Preprocessing:
    """The default for models of densities: everything to the real line, at scale 1.

    Pixels crowd at the ends of their range, where a density on the line must not leak: counted images go through a
    logit with a margin of 0.05 (RealNVP, section 4.1), which is worth 0.3 bits per dimension on 8x8 digits.
    """
    if event.kind == "bounded":
        return _standardised(Logit(event))
    if event.kind == "positive":
        return _standardised(Log(event))
    if event.counted and event.image and event.levels is not None:
        dequantise = Dequantise(event)
        return _standardised(dequantise, Logit(dequantise.model_event, margin=0.05))
    return dequantised(event)


def dequantised(event: Event) -> Preprocessing:
    """For models that are drawn from rather than scored: counted data dequantised, then scale 1, without a logit."""
    return _standardised(Dequantise(event)) if event.counted else Standardise(event)


def symmetric(event: Event) -> Preprocessing:
    """For images drawn by a network that ends in a tanh: grey levels dequantised, then to [-1, 1]; where an event has
    no range, the line at scale 1."""
    if event.counted and event.levels is not None:
        dequantise = Dequantise(event)
        return Chain([dequantise, Symmetric(dequantise.model_event)])
    return Symmetric(event) if event.kind == "bounded" else dequantised(event) if event.counted else continuous(event)


def rescaled(units: Preprocessing, scale: float) -> Preprocessing:
    """The same units, `scale` times as wide where they end in scale 1."""
    if isinstance(units, Chain):
        *first, last = units.maps
        return Chain([*first, rescaled(last, scale)])  # type: ignore[list-item, arg-type]
    return Standardise(units.event, scale) if isinstance(units, Standardise) else units


def _standardised(*maps: Preprocessing) -> Chain:
    return Chain([*maps, Standardise(maps[-1].model_event)])


def countable(event: Event) -> Preprocessing:
    """The default for models that also take probabilities: counted events stay counted."""
    return Levels(event) if event.counted else continuous(event)


def context_default(event: Event) -> Preprocessing:
    """The default for contexts: labels to unit vectors, numbers standardised."""
    if event.kind in ("category", "tokens"):
        return OneHot(event)
    return Standardise(event)
