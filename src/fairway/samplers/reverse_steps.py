"""Draws from a denoiser's own steps back, p(u_s | u_t), whose variances it chose or learned.

    u_s = mean of q(u_s | u_t, u_0 = D) + sqrt(b) e^(r / 2) z,      D = E[u_0 | u_t]

b is the variance of q(u_s | u_t, u_0), which is too small where D does not say all of u_0: the more so the fewer the
steps. r is what the model says it lacks, entry by entry: log of its variance over b. With r = 0 this is `Ancestral`.
Source: Ho et al. 2020, Denoising Diffusion Probabilistic Models, algorithm 2 and section 3.2 (r fixed); Nichol and
Dhariwal 2021, Improved Denoising Diffusion Probabilistic Models, eq. 15 (r learned).
"""

import math
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from fairway.core.capability import Capability, CapabilityError, HasDenoiser
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Sampler
from fairway.samplers.ddim import posterior_variance, towards
from fairway.samplers.noise_grid import GRIDS, Level, noise_levels


class ReverseSteps(Sampler):
    """One evaluation a step, fresh noise at each, of the size that the model says.

    Args:
        steps: noise levels, which is also the number of network evaluations; None for the model's own.
        grid: "log_snr", "karras" or "time"; of a number of steps.

    Raises:
        ValueError: no steps, or an unknown grid.
    """

    requires: ClassVar[tuple[type[Capability], ...]] = (HasDenoiser,)

    def __init__(self, steps: int | None = None, grid: str = "log_snr") -> None:
        if steps is not None and steps < 1:
            raise ValueError(f"expected steps of at least 1, got {steps}")
        if grid not in GRIDS:
            raise ValueError(f"expected a grid among {', '.join(GRIDS)}, got {grid!r}")
        self.steps, self.grid = steps, grid

    def check(self, model: Any) -> None:
        """Whether the model has variances for its steps.

        Raises:
            CapabilityError: it has none.
        """
        super().check(model)
        if not hasattr(model, "_reverse_terms"):
            raise CapabilityError(
                f"the sampler {self.name()} needs a model with variances of its own, as ddpm has; draw from "
                f"{model.name()} by 'ancestral'"
            )

    def _levels(self, model: Any) -> list[Level]:
        if self.steps is not None:
            return noise_levels(model.schedule, self.steps, self.grid)
        return [Level.at(model.schedule, t) for t in model.times.flip(0).tolist()]

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
        """As `Sampler.run`; `init` are the points at t = 1, `trace` the path with the clean end (steps + 1, n, *U)."""
        u = model._prior(generator) if init is None else init
        fresh, levels, states = generator.spawn(1), self._levels(model), [u]
        for here, there in pairwise(levels):
            t, s = (u.new_full((len(u),), level.t) for level in (here, there))
            data, _, excess = model._reverse_terms(u, t, s, context)
            variance = posterior_variance(here, there)
            std = math.sqrt(variance) * torch.exp(excess / 2)
            u = towards(u, data, here, there, variance) + std * fresh.normal(*u.shape[1:])
            states += [u] if trace else []
        u = model._denoise(u, u.new_full((len(u),), levels[-1].t), context)
        return Draws(u, float(len(levels)), trace=torch.stack([*states, u]) if trace else None)
