"""Walks between latents, and sums of them, shown as what they decode to.

    linear       z(t) = (1 - t) a + t b
    spherical    z(t) = sin((1 - t) w) / sin w  a + sin(t w) / sin w  b,       w the angle between a and b

Normal latents of d entries lie near a sphere of radius sqrt(d), and two of them are nearly at right angles: halfway
along a line the length is sqrt(d / 2), where a generator was never taught; on the great circle it stays. Latents of the
same length keep it all the way, at constant speed (Shoemake 1985; for generators, White 2016). Differences of mean
latents carry over: mean(smiling women) - mean(neutral women) + mean(neutral men) decodes to a smiling man (Radford,
Metz and Chintala 2016, section 6.3.2, who found means of three to do where single latents did not).

Shapes: z (*Z), sets of latents (n, *Z), paths (steps, *Z); what is decoded is in data units.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.capability import CapabilityError, HasDecoder, require
from fairway.core.event import Event

Path = Callable[[Tensor, Tensor, int], Tensor]  # (*Z), (*Z), steps -> (steps, *Z)


def linear(z0: Any, z1: Any, steps: int) -> Tensor:
    """The straight line from z0 to z1, both ends included.

    Args:
        z0, z1: (*Z).
        steps: points, at least 2.

    Returns:
        (steps, *Z).

    Raises:
        ValueError: shapes that differ, or fewer than 2 steps.

    >>> linear(torch.tensor([0.0, 2.0]), torch.tensor([2.0, 0.0]), 3)
    tensor([[0., 2.],
            [1., 1.],
            [2., 0.]])
    """
    start, end, share = _ends(z0, z1, steps)
    return (1 - share) * start + share * end


def slerp(z0: Any, z1: Any, steps: int) -> Tensor:
    """The great circle from z0 to z1, both ends included; the angle is that between all entries of the two.

    Args:
        z0, z1: (*Z), neither 0; in opposite directions they have no one path.
        steps: points, at least 2.

    Returns:
        (steps, *Z).

    Raises:
        ValueError: shapes that differ, fewer than 2 steps, a latent of length 0, or opposite directions.

    >>> slerp(torch.tensor([0.0, 2.0]), torch.tensor([2.0, 0.0]), 3)[1]  # 2 / sqrt 2, not 1
    tensor([1.4142, 1.4142])
    """
    start, end, share = _ends(z0, z1, steps)
    angle = _angle(start, end)
    if angle < torch.finfo(start.dtype).eps ** 0.5:  # sin x / sin w -> x / w
        return (1 - share) * start + share * end
    return (((1 - share) * angle).sin() * start + (share * angle).sin() * end) / math.sin(angle)


def interpolate(
    model: Any, z0: Any, z1: Any, steps: int, *, context: Any = None, path: Path = slerp, batch_size: int | None = None
) -> Tensor:
    """What lies between two latents, decoded.

    Args:
        model: one that decodes; for two observations of a model that encodes, pass `model.encode(x)`'s rows.
        z0, z1: (*Z).
        steps: points, at least 2, with both ends.
        context: one context (*C) of a conditional model, the same all the way.
        path: `slerp`, `linear`, or your own (z0, z1, steps) -> (steps, *Z).
        batch_size: points decoded at once.

    Returns:
        (steps, *E) in data units.

    Raises:
        CapabilityError: a model without a decoder, or whose latents are codes.
        ValueError: latents of another shape than the model's, or as in `path`.
    """
    event = _latents(model, "interpolation")
    start, end = (_latent(z, event, name, 0).to(model.device, model.dtype) for z, name in ((z0, "z0"), (z1, "z1")))
    decoded: Tensor = model.decode(path(start, end, steps), context, batch_size=batch_size)
    return decoded


def combine(model: Any, plus: Sequence[Any], minus: Sequence[Any] = (), *, context: Any = None) -> Tensor:
    """Mean latents of sets, added and subtracted, decoded.

    Args:
        model: one that decodes.
        plus, minus: sets of latents, (n, *Z) each; n may differ from set to set.
        context: one context (*C) of a conditional model.

    Returns:
        (*E) in data units.

    Raises:
        CapabilityError: a model without a decoder, or whose latents are codes.
        ValueError: no set to add, an empty set, or latents of another shape than the model's.
    """
    event = _latents(model, "vector arithmetic")
    if not len(plus):
        raise ValueError("expected at least one set of latents in plus=[...], each (n, *Z), got none")
    total = torch.zeros(event.shape, dtype=model.dtype, device=model.device)  # type: ignore[arg-type]
    for sets, sign, name in ((plus, 1, "plus"), (minus, -1, "minus")):
        for number, latents in enumerate(sets):
            found = _latent(latents, event, f"{name}[{number}]", 1)
            total = total + sign * found.to(model.device, model.dtype).mean(0)
    decoded: Tensor = model.decode(total, context)
    return decoded


def _ends(z0: Any, z1: Any, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Both ends, and the share (steps, 1, ...) of the way to the second."""
    start, end = as_tensor(z0, "z0"), as_tensor(z1, "z1")
    if start.shape != end.shape or not start.ndim:
        raise ValueError(
            f"expected z0 and z1 of one shape (*Z), got {tuple(start.shape)} and {tuple(end.shape)}; "
            "for several pairs, call once for each"
        )
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ValueError(f"expected steps as an integer of at least 2, both ends included, got {steps!r}")
    dtype = torch.promote_types(start.dtype, end.dtype)
    dtype = dtype if dtype.is_floating_point else torch.get_default_dtype()
    start, end = start.to(dtype), end.to(start.device, dtype)
    return start, end, torch.linspace(0, 1, steps, dtype=dtype, device=start.device).reshape(-1, *[1] * start.ndim)


def _angle(a: Tensor, b: Tensor) -> float:
    """Between two vectors, in [0, pi): exact where the cosine is near 1, too."""
    lengths = float(a.norm()), float(b.norm())
    if not min(lengths) > 0 or not math.isfinite(sum(lengths)):
        raise ValueError(
            f"expected latents of finite lengths above 0, got {lengths[0]:g} and {lengths[1]:g}: they have no "
            "direction; take the linear path"
        )
    one, other = a / lengths[0], b / lengths[1]
    apart, together = float((one - other).norm()), float((one + other).norm())
    if together < torch.finfo(a.dtype).eps ** 0.5:
        raise ValueError(
            "expected latents that are not opposite each other: every great circle through one meets the other; "
            "go by way of a third latent, or take the linear path"
        )
    return 2 * math.atan2(apart, together)


def _latents(model: Any, asker: str) -> Event:
    """The event of a model's latents, which must be numbers."""
    require(model, (HasDecoder,), asker)
    event: Event = model.latent_event
    if event.counted:
        raise CapabilityError(f"{asker} needs latents with something between them; those of {model.name()} are {event}")
    return event


def _latent(z: Any, event: Event, name: str, leading: int) -> Tensor:
    """A latent (*Z), or a set (n, *Z) of them."""
    z = as_tensor(z, name)
    if z.ndim != leading + len(event.shape) or tuple(z.shape[leading:]) != event.shape:
        wanted = ", ".join([*["n"] * leading, *map(str, event.shape)])
        raise ValueError(f"expected {name} of shape ({wanted}), the model's latents, got {tuple(z.shape)}")
    return z
