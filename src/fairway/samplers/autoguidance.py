"""Autoguidance: a denoiser guided away from the errors of a worse version of itself.

    D' = D_weak + scale (D - D_weak)                                   scale 1: the model's own draw

The weaker model is of the same kind and saw the same data, but is smaller or trained for less long: where the two
disagree, the better one is wrong in the same direction by less, and extrapolating away from the weaker one goes on
towards the data. Unlike classifier-free guidance it improves draws without making them less varied, and needs no
context. The two must mean the same by u_t and t: one schedule, one standardisation.
Source: Karras et al. 2024, Guiding a Diffusion Model with a Bad Version of Itself.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import require
from fairway.samplers.guided_view import GuidedSampler, GuidedView

ALIKE = 0.05  # of the data's scale, between the two models' units


class AutoGuided(GuidedSampler):
    """Draws guided by a weaker model.

    Args:
        weaker: a model of the same event, context, schedule and units, trained less or smaller.
        scale: at least 0; 1 is the model's own draw, the paper's best lie between 1.7 and 3.
        sampler: a sampler or a registered name; None for the model's own.
        interval: (low, high): guide where low < sigma / alpha <= high. Denoisers only.

    Raises:
        ValueError: a scale that is not a number of at least 0, or an interval that does not rise from at least 0.
    """

    def __init__(
        self, weaker: Any, scale: float = 2.0, sampler: Any = None, interval: Sequence[float] | None = None
    ) -> None:
        super().__init__(scale, sampler, interval)
        self.weaker = weaker

    def view(self, model: Any) -> GuidedView:
        return _Extrapolated(model, self.weaker, self.scale, self.interval)

    def check(self, model: Any) -> None:
        """Whether the two models speak of the same.

        Raises:
            CapabilityError: a model without velocity. ValueError: other events, schedules or units.
        """
        super().check(model)
        require(self.weaker, self.requires, f"the weaker model of {self.name()}")
        for what in ("event", "context_event"):
            if getattr(model, what) != getattr(self.weaker, what):
                raise ValueError(
                    f"expected a weaker model with {what}={getattr(model, what)}, got {getattr(self.weaker, what)}"
                )
        if not torch.allclose(_levels(model), _levels(self.weaker)):
            raise ValueError("expected a weaker model under the same schedule, got one under another")
        own, other = _units(model), _units(self.weaker)
        if bool(((own - other).abs() > ALIKE * (own[1] - own[0]).abs()).any()):
            raise ValueError(
                "expected a weaker model in the same units, got one that was standardised otherwise; train both on "
                "the same data"
            )


class _Extrapolated(GuidedView):
    """The line through the weaker model's answer and the model's."""

    def __init__(self, model: Any, weaker: Any, scale: float, interval: tuple[float, float] | None) -> None:
        super().__init__(model, interval)
        self.weaker, self.scale = weaker, scale

    def _guided(self, hook: str, own: Tensor, u: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        weak: Tensor = getattr(self.weaker, hook)(u, t, context)
        return own + (self.scale - 1) * (own - weak)  # this way round nothing is added where the two agree


def _levels(model: Any) -> Tensor:
    """alpha and sigma at some times; the same for all models without a schedule."""
    schedule = getattr(model, "schedule", None)
    times = torch.linspace(0, 1, 5, dtype=torch.float64)
    return torch.zeros(2, 5) if schedule is None else torch.stack(schedule(times))


def _units(model: Any) -> Tensor:
    """What 0 and 1 in model units are in data units, entry by entry."""
    probe = torch.arange(2.0, dtype=torch.float64, device=model.device)
    u = probe.reshape(2, *[1] * len(model.model_event.shape)).expand(2, *(s or 1 for s in model.model_event.shape))
    out: Tensor = model.preprocess.to_data(u)
    return out.double()
