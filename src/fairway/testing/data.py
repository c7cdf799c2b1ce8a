"""Seeded random data for any event, at scales that punish a model which forgets its units.

A hidden z (n, *E) has two clusters and correlated entries,

    z_i = 0.8 e_i + 0.6 e_0 + s,   e ~ N(0, I), s = +-1 with equal odds (one sign per row, shifted by the context),

and is carried to the support: real tables to columns of scale 40 at 1,000 and 3e-3 at -7e-3 in turn, bounded events by
a sigmoid, positive ones by exp, counted ones by cutting the normal's range into levels.
"""

import torch
from torch import Tensor

from fairway.core.event import Event
from fairway.core.random import Rows

SCALES, CENTRES = (40.0, 3e-3), (1000.0, -7e-3)
LENGTH = 6  # entries along an axis of variable length


def tiny_data(event: Event, n: int, seed: int = 0, context: Tensor | None = None) -> Tensor:
    """n observations of an event, (n, *E): float64, or int64 for counted events.

    Args:
        event: what to draw; an axis of variable length gets 6 entries.
        n: how many.
        seed: which.
        context: (n, *C); every row is shifted by its own context, so that there is something to condition on.

    >>> tiny_data(Event((2,)), 4).shape
    torch.Size([4, 2])
    """
    hidden = _hidden(event, n, seed, context)
    return with_gaps(_to_support(event, hidden), seed) if event.missing else _to_support(event, hidden)


def tiny_context(event: Event | None, n: int, seed: int = 0) -> Tensor | None:
    """n contexts (n, *C), or None where the model takes none."""
    return None if event is None else tiny_data(event, n, seed + 7919)


def scale_of(event: Event) -> Tensor:
    """(*E) the spread of one entry of `tiny_data`, for tolerances in data units."""
    scale = torch.ones([s or LENGTH for s in event.shape], dtype=torch.float64)
    if event.kind == "real" and len(event.shape) == 1:
        scale = torch.tensor([SCALES[i % 2] for i in range(scale.numel())], dtype=torch.float64)
    if event.kind == "bounded":
        scale = scale * float((event.high or 0) - (event.low or 0)) / 5
    return scale


def with_gaps(x: Tensor, seed: int = 0, share: float = 0.2) -> Tensor:
    """x with about a fifth of its entries NaN; every row keeps its first."""
    gaps = Rows(seed, len(x), dtype=torch.float64).spawn(13).uniform(*x.shape[1:]) < share
    gaps.flatten(1)[:, 0] = False
    return torch.where(gaps, torch.nan, x.double())


def without_gaps(x: Tensor) -> Tensor:
    """x with NaN filled by the mean of its column."""
    return torch.where(x.isnan(), x.nanmean(0), x) if x.is_floating_point() else x


def _hidden(event: Event, n: int, seed: int, context: Tensor | None) -> Tensor:
    rows = Rows(seed, n, dtype=torch.float64)
    shape = [s or LENGTH for s in event.shape]
    noise = rows.normal(*shape)
    first = noise.reshape(n, -1)[:, :1].reshape(n, *[1] * len(shape))
    sign = (rows.uniform() < 0.5).double() * 2 - 1
    if context is not None:
        sign = sign + torch.tanh(context.double().reshape(n, -1).nan_to_num().mean(1))
    return 0.8 * noise + 0.6 * first + sign.reshape(n, *[1] * len(shape))


def _to_support(event: Event, hidden: Tensor) -> Tensor:
    if event.counted:
        levels = event.levels or 8
        share = torch.special.ndtr(hidden / 1.5)
        return (share * levels).long().clamp(max=levels - 1) + event.offset
    if event.kind == "bounded":
        low, high = float(event.low or 0), float(event.high or 0)
        return low + (high - low) * torch.sigmoid(hidden)
    if event.kind == "positive":
        return hidden.exp()
    if len(event.shape) != 1:
        return hidden
    centre = torch.tensor([CENTRES[i % 2] for i in range(hidden.shape[1])], dtype=torch.float64)
    return centre + scale_of(Event((hidden.shape[1],))) * hidden
