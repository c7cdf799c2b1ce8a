"""Annealed Langevin dynamics: many small moves at every noise level, from much noise to little.

    at level i = 1, ..., L, T times:   u <- u + a/2 score(u; sigma_i) + sqrt(a) z,     a = r sigma_i^2
    then                               u <- E[u_0 | u]

A move climbs the score of the noisy law alone, so a level forgets what the one before got wrong, if T moves are enough
to forget. The paper writes a = epsilon sigma_i^2 / sigma_L^2: r = epsilon / sigma_L^2, 0.2 for its epsilon = 2e-5 at
sigma_L = 0.01. The steps are not tested, so a level of scale sqrt(S) has the variance S / (1 - a / 4S) on a Gaussian.
On schedules that also shrink the data, moves are those of u / alpha: u is multiplied by alpha_(i+1) / alpha_i between
levels. The last line takes off the noise of sigma_L, which is seen in pictures (Jolicoeur-Martineau et al. 2021).
Source: Song and Ermon 2019, Generative Modeling by Estimating Gradients of the Data Distribution, algorithm 1.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasDenoiser
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Sampler
from fairway.samplers.noise_grid import Level, noise_levels


class AnnealedLangevin(Sampler):
    """Langevin dynamics of a denoiser along geometric noise levels.

    Args:
        levels: L, at least 1; equal steps of log(alpha / sigma).
        steps: T, moves at each level.
        step: r, the square of a move's noise in units of the level's variance sigma^2.
        denoise: take the last level's noise off, or leave it on as algorithm 1 does.

    Raises:
        ValueError: no level, no move, or a step that is not positive.
    """

    requires: ClassVar[tuple[type[Capability], ...]] = (HasDenoiser,)

    def __init__(self, levels: int = 10, steps: int = 100, step: float = 0.2, denoise: bool = True) -> None:
        if levels < 1 or steps < 1:
            raise ValueError(f"expected levels and steps of at least 1, got {levels} and {steps}")
        if not 0 < step < math.inf:
            raise ValueError(f"expected step above 0, got {step}")
        self.levels, self.steps, self.step, self.denoise = levels, steps, float(step), denoise

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
        """As `Sampler.run`; `init` are the points at t = 1, `trace` each level's last with the end (L + 1, n, *U)."""
        u = model._prior(generator) if init is None else init
        fresh, states = generator.spawn(1), []
        levels = noise_levels(model.schedule, self.levels)
        for k, level in enumerate(levels):
            before = levels[k - 1].alpha if k else 0.0
            u = u * (level.alpha / before) if before > 0 else u
            u = self._at(model, u, level, context, fresh)
            states += [u] if trace else []
        u = self._end(model, u, levels[-1], context)
        evaluations = float(len(levels) * self.steps + self.denoise)
        return Draws(u, evaluations, trace=torch.stack([*states, u]) if trace else None)

    def _at(self, model: Any, u: Tensor, level: Level, context: Tensor | None, fresh: Rows) -> Tensor:
        """T moves at one level."""
        size = self.step * level.sigma**2
        for _ in range(self.steps):
            score = (level.alpha * _data(model, u, level, context) - u) / level.sigma**2
            u = u + size / 2 * score + math.sqrt(size) * fresh.normal(*u.shape[1:])
        return u

    def _end(self, model: Any, u: Tensor, level: Level, context: Tensor | None) -> Tensor:
        if self.denoise:
            return _data(model, u, level, context)
        return u / level.alpha if level.alpha > 0 else u


def _data(model: Any, u: Tensor, level: Level, context: Tensor | None) -> Tensor:
    """E[u_0 | u] at a level."""
    out: Tensor = model._denoise(u, u.new_full((len(u),), level.t), context)
    return out
