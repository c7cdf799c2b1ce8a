"""Noise taken off by one step along the score: the mean of the clean observation given the noisy one.

    y = u + noise eps,  eps ~ N(0, I):      E[u | y] = y + noise^2 grad log p(y)             (Tweedie; Efron 2011)

A model trained on noisy data (`objectives.NoisyMLE`) draws noisy ones; its own score says where they came from. The
draws are no longer the model's, and its density says nothing about them. Source: Zhai et al. 2024, Normalizing Flows
are Capable Generative Models (score-based denoising). Units: the noise is a standard deviation in model units.
"""

import math
from typing import Any, ClassVar

from torch import Tensor

from fairway.core.capability import Capability, HasScore
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Sampler, as_sampler


class Tweedie(Sampler):
    """The draws of another sampler without their noise.

    Args:
        noise: standard deviation of what the model was trained with, above 0.
        sampler: a sampler, a kernel or a registered name; None for the model's own.

    Raises:
        ValueError: a noise that is not a positive number.
    """

    requires: ClassVar[tuple[type[Capability], ...]] = (HasScore,)

    def __init__(self, noise: float = 0.05, sampler: Any = None) -> None:
        if isinstance(noise, bool) or not 0 < noise < math.inf:
            raise ValueError(f"expected noise as a standard deviation above 0, got {noise!r}")
        self.noise, self.sampler = float(noise), None if sampler is None else as_sampler(sampler)

    def check(self, model: Any) -> None:
        super().check(model)
        self._inner(model).check(model)

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
        draws = self._inner(model).run(model, n, context=context, generator=generator, init=init, trace=trace)
        draws.samples = draws.samples + self.noise**2 * model._score(draws.samples, context)
        draws.evaluations += 2  # a pass and its gradient
        return draws

    def _inner(self, model: Any) -> Sampler:
        inner: Sampler = model.default_sampler() if self.sampler is None else self.sampler
        return inner
