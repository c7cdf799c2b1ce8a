"""What every kind of guidance shares: a model seen with another answer, under any sampler that asks for it.

    D' = D + what the guidance adds,     v' = v + (alpha' - sigma' alpha / sigma) (D' - D)

A sampler of denoisers knows a model by its answers at a noise level (`_denoise`, `_velocity`, `_score_at`). A view
gives other answers to the same questions, so that guidance and samplers are combined freely and neither knows of the
other. All three answers are affine in D = E[u_0 | u_t] with the same coefficients for every model of a schedule: what
is extrapolated between two models in one of them is extrapolated in all.

Guidance may be confined to levels low < sigma / alpha <= high: at much noise it throws away modes, at little it does
nothing but cost (Kynkäänniemi et al. 2024, Applying Guidance in a Limited Interval). A view has no density: what
is drawn from it is no longer the model's. Units: model units, where data have scale 1.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasDenoiser, HasVelocity, require
from fairway.core.numerics import expand_as_rows
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Sampler, as_sampler


class GuidedView(ABC):
    """A model with guided answers; subclasses give `_guided`.

    Args:
        model: answers `denoise` or `velocity`.
        interval: (low, high) in sigma / alpha, outside of which the model's own answers stand; None for all levels.

    Attributes:
        extra: evaluations asked for beyond those that the sampler knows of.

    Class attributes:
        cost: such evaluations of one guided answer.
    """

    cost: ClassVar[float] = 1.0

    def __init__(self, model: Any, interval: tuple[float, float] | None = None) -> None:
        self.model, self.interval, self.extra = model, interval, 0.0
        self.schedule: Any = getattr(model, "schedule", None)
        self.model_event = model.model_event

    @abstractmethod
    def _guided(self, hook: str, own: Tensor, u: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        """The answer (B, *U) to a hook, where the model's own is `own`."""

    def name(self) -> str:
        """The model's."""
        return str(self.model.name())

    def supports(self, capability: type[Capability], *, units: str = "model") -> bool:
        """A velocity and a denoiser, if the model has them, and no density."""
        return capability in (HasVelocity, HasDenoiser) and self.model.supports(capability, units=units)

    def _prior(self, rows: Rows) -> Tensor:
        noise: Tensor = self.model._prior(rows)
        return noise

    def _denoise(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        return self._answer("_denoise", u, t, context)

    def _velocity(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        return self._answer("_velocity", u, t, context)

    def _score_at(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        return self._answer("_score_at", u, t, context)

    def _answer(self, hook: str, u: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        own: Tensor = getattr(self.model, hook)(u, t, context)
        inside = self._inside(t)
        if inside is not None and not bool(inside.any()):
            return own
        self.extra += self.cost
        guided = self._guided(hook, own, u, t, context)
        return guided if inside is None else torch.where(expand_as_rows(inside, u), guided, own)

    def _inside(self, t: Tensor) -> Tensor | None:
        """(B,): whether a level is guided; None for all of them."""
        if self.interval is None:
            return None
        (alpha, sigma), (low, high) = self.schedule(t), self.interval
        inside: Tensor = sigma > low * alpha
        return inside if math.isinf(high) else inside & (sigma <= high * alpha)


class GuidedSampler(Sampler):
    """A sampler run on a view; subclasses give `view`.

    Args:
        scale: how much guidance; what it means is the subclass's.
        sampler: a sampler or a registered name; None for the model's own.
        interval: (low, high) in sigma / alpha, see `GuidedView`.

    Raises:
        ValueError: a scale that is not a number of at least 0, or an interval that does not rise from at least 0.
    """

    requires: ClassVar[tuple[type[Capability], ...]] = (HasVelocity,)

    def __init__(self, scale: float, sampler: Any = None, interval: Sequence[float] | None = None) -> None:
        if isinstance(scale, bool) or not 0 <= scale < math.inf:
            raise ValueError(f"expected a guidance scale of at least 0, got {scale!r}")
        if interval is not None and (len(interval) != 2 or not 0 <= interval[0] < interval[1]):
            raise ValueError(f"expected interval=(low, high) in sigma / alpha, 0 <= low < high, got {interval!r}")
        self.scale, self.sampler = float(scale), None if sampler is None else as_sampler(sampler)
        self.interval = None if interval is None else (float(interval[0]), float(interval[1]))

    @abstractmethod
    def view(self, model: Any) -> GuidedView:
        """The model as the sampler is to see it."""

    def check(self, model: Any) -> None:
        super().check(model)
        self.check_inner(model)

    def check_inner(self, model: Any) -> None:
        """Whether the sampler takes the view, and an interval has noise levels to lie in.

        Raises:
            CapabilityError: names what is missing.
        """
        if self.interval is not None:
            require(model, (HasDenoiser,), f"an interval of {self.name()}")
        self.inner(model).check(self.view(model))

    def run(
        self,
        model: Any,
        n: int,
        *,
        context: Tensor | None,
        generator: Rows,
        init: Tensor | None = None,
        trace: bool = False,
    ) -> Draws:
        view = self.view(model)
        draws = self.inner(model).run(view, n, context=context, generator=generator, init=init, trace=trace)
        if draws.most_evaluations is None:
            draws.evaluations += view.extra
        else:  # the row that took most was there at every answer, the others at their share of them
            draws.evaluations *= 1 + view.extra / draws.most_evaluations
            draws.most_evaluations += view.extra
        return draws

    def inner(self, model: Any) -> Sampler:
        """The sampler that is guided."""
        inner: Sampler = model.default_sampler() if self.sampler is None else self.sampler
        return inner
