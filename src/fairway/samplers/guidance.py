"""Classifier-free guidance: draws that follow their context more than the model's own.

    phi = phi(nothing) + scale (phi(context) - phi(nothing))          scale 1: the model's own draw

phi is whatever the family predicts on its way to a draw. Of a denoiser it is any of its answers at a noise level,
under any sampler of denoisers: the score is that of p(u_t) p(context | u_t)^scale at every level, although these are
not the noisy versions of one law. Families that draw by themselves and answer `HasGuidance` say what their own is.
Beyond 1 the draws are typical of their context and less varied; they are not the model's, and a density says nothing
about them. phi(nothing) is learned where the context is dropped in training now and then: a network says so by an
attribute `context_dropout` that is neither 0 nor None.
Source: Ho and Salimans 2021, Classifier-Free Diffusion Guidance, eq. 6 (their w is scale - 1).
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from fairway.core.capability import Capability, CapabilityError, HasGuidance, HasVelocity, require
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Pass
from fairway.samplers.guided_view import GuidedSampler, GuidedView


class Guided(GuidedSampler):
    """Draws at a guidance scale: a denoiser's by any of its samplers, or a family's own.

    Args:
        scale: at least 0; 1 is the model's own draw, 0 ignores the context.
        sampler: a sampler or a registered name; None for the model's own. Denoisers and continuous flows only.
        interval: (low, high): guide where low < sigma / alpha <= high, and draw as the model elsewhere. Denoisers only.

    Raises:
        ValueError: a scale that is not a number of at least 0, or an interval that does not rise from at least 0.
    """

    requires: ClassVar[tuple[type[Capability], ...]] = (HasGuidance,)  # or a velocity, see `check`

    def __init__(self, scale: float = 2.0, sampler: Any = None, interval: Sequence[float] | None = None) -> None:
        super().__init__(scale, sampler, interval)

    def view(self, model: Any) -> GuidedView:
        return _ClassifierFree(model, self.scale, self.interval)

    def check(self, model: Any) -> None:
        """Whether the model can be guided, and so.

        Raises:
            CapabilityError: no guidance of its own and no velocity, no context, or a context never dropped.
            ValueError: a sampler or an interval for a model that draws by itself.
        """
        if _draws_itself(model):
            if self.sampler is not None or self.interval is not None:
                raise ValueError(f"{model.name()} draws by itself: expected no sampler and no interval to guide it by")
        elif not model.supports(HasVelocity, units="model"):
            require(model, self.requires, f"the sampler {self.name()}")
        else:
            _check_context(model)
            self.check_inner(model)

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
        if _draws_itself(model):
            own = _Own(self.scale)
            return own.run(model, n, context=context, generator=generator, init=init, trace=trace)
        if self.scale == 1 or (self.scale == 0 and self.interval is None):  # one of the two answers is enough
            given = context if self.scale else None
            return self.inner(model).run(model, n, context=given, generator=generator, init=init, trace=trace)
        return super().run(model, n, context=context, generator=generator, init=init, trace=trace)


class _Own(Pass):
    """The draw of a family that answers `HasGuidance`."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def _draw(self, model: Any, n: int, context: Tensor | None, rows: Rows) -> Draws:
        drawn = model._sample_guided(n, context, rows, self.scale)
        return Draws(drawn, evaluations=float(model.strokes) * (1 if self.scale in (0.0, 1.0) else 2))


class _ClassifierFree(GuidedView):
    """The line through the answer without a context and the answer with it."""

    def __init__(self, model: Any, scale: float, interval: tuple[float, float] | None) -> None:
        super().__init__(model, interval)
        self.scale = scale

    def _guided(self, hook: str, own: Tensor, u: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        nothing: Tensor = getattr(self.model, hook)(u, t, None)
        return nothing + self.scale * (own - nothing)


def _draws_itself(model: Any) -> bool:
    return bool(model.supports(HasGuidance, units="model"))


def _check_context(model: Any) -> None:
    """Whether the model knows its answers without a context."""
    if model.context_event is None:
        raise CapabilityError(f"{model.name()} cannot be guided: it has no context")
    if not any(getattr(part, "context_dropout", None) for part in model.modules()):
        raise CapabilityError(
            f"{model.name()} cannot be guided: its context was never dropped (context_dropout=0); train it with "
            "context_dropout=0.1, or say context_dropout in your own network if it drops the context itself"
        )
