"""Classifier guidance: an unconditional denoiser drawn towards a class that a classifier of noisy data knows.

    score(u_t | c) = score(u_t) + scale grad log p(c | u_t, t)                                  Bayes' rule, scale 1
    D'             = D + scale (sigma^2 / alpha) grad log p(c | u_t, t)

The classifier is trained on noisy data, at every level, and says logits of K classes from u_t (B, *U) in model units
and t (B,). With the exact posterior of the classes and scale 1 the draws are those of the class; a larger scale
sharpens the classifier. Where alpha(1) = 0 the classifier is asked no nearer to pure noise than `NEAREST`: it knows
nothing there, and what is added is 0 / 0. Source: Dhariwal and Nichol 2021, Diffusion Models Beat GANs on Image
Synthesis, section 4 and algorithm 1; Song et al. 2021, Score-Based Generative Modeling through SDEs, section 5.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasDenoiser
from fairway.core.numerics import expand_as_rows
from fairway.samplers.guided_view import GuidedSampler, GuidedView
from fairway.samplers.noise_grid import NEAREST

Classifier = Callable[[Tensor, Tensor], Tensor]  # u (B, *U), t (B,) -> logits (B, K)


class ClassifierGuided(GuidedSampler):
    """Draws of one class from a denoiser that may know nothing of classes.

    Args:
        classifier: (u (B, *U) in model units, t (B,)) -> logits (B, K), differentiable in u, row by row.
        label: the class, 0, ..., K - 1.
        scale: at least 0; 1 is Bayes' rule, 0 the model's own draw.
        sampler: a sampler or a registered name; None for the model's own.
        interval: (low, high): guide where low < sigma / alpha <= high.

    Raises:
        ValueError: a label, a scale or an interval that is none.
    """

    requires: ClassVar[tuple[type[Capability], ...]] = (HasDenoiser,)

    def __init__(
        self,
        classifier: Classifier,
        label: int,
        scale: float = 1.0,
        sampler: Any = None,
        interval: Sequence[float] | None = None,
    ) -> None:
        super().__init__(scale, sampler, interval)
        if isinstance(label, bool) or not isinstance(label, int) or label < 0:
            raise ValueError(f"expected a label as a whole number of at least 0, got {label!r}")
        self.classifier, self.label = classifier, label

    def view(self, model: Any) -> GuidedView:
        return _Classified(model, self.classifier, self.label, self.scale, self.interval)


class _Classified(GuidedView):
    """Answers moved along the gradient of log p(c | u_t, t); a pass of the classifier and its gradient each."""

    cost: ClassVar[float] = 2.0

    def __init__(
        self, model: Any, classifier: Classifier, label: int, scale: float, interval: tuple[float, float] | None
    ) -> None:
        super().__init__(model, interval)
        self.classifier, self.label, self.scale = classifier, label, scale
        self.latest = 1.0 if model.schedule.signal_left > NEAREST else 1 - NEAREST

    def _guided(self, hook: str, own: Tensor, u: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        t = t.clamp(max=self.latest)
        return own + self.scale * expand_as_rows(self._weight(hook, t), u) * self._gradient(u, t)

    def _weight(self, hook: str, t: Tensor) -> Tensor:
        """What an answer moves by when the score moves by one, (B,)."""
        alpha, sigma = self.schedule(t)
        if hook == "_score_at":
            return torch.ones_like(t)
        if hook == "_denoise":
            return torch.as_tensor(sigma.square() / alpha)
        alpha_slope, sigma_slope = self.schedule.derivatives(t)
        return torch.as_tensor(sigma * (alpha_slope * sigma / alpha - sigma_slope))

    def _gradient(self, u: Tensor, t: Tensor) -> Tensor:
        """(B, *U): gradient of log p(label | u, t) in u."""
        with torch.enable_grad():
            point = u.detach().requires_grad_()
            logits = self.classifier(point, t)
            if logits.ndim != 2 or len(logits) != len(u) or logits.shape[1] <= self.label:
                raise ValueError(
                    f"expected logits of shape ({len(u)}, K) with K > label={self.label} from the classifier, got "
                    f"{tuple(logits.shape)}"
                )
            (gradient,) = torch.autograd.grad(logits.log_softmax(1)[:, self.label].sum(), point)
        return gradient
