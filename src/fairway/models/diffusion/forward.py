"""Data on their way to noise: at once, or step by step.

    at once         u_t = alpha_t u_0 + sigma_t eps
    step by step    u_t = f u_s + sqrt(v) z,       f = alpha_t / alpha_s,   v = sigma_t^2 - f^2 sigma_s^2,    s < t

The two have the same law at every t for any schedule whose signal-to-noise ratio falls, since f^2 sigma_s^2 + v is
sigma_t^2; the second is a Markov chain and says how levels belong together: Cov(u_s, u_t | u_0) = f sigma_s^2. It is
DDPM's q(x_t | x_t-1) with f^2 = 1 - beta_t. Both say nothing of the model but its units and its schedule.
Source: Ho et al. 2020, Denoising Diffusion Probabilistic Models, eq. 2 and 4; Kingma et al. 2021, Variational
Diffusion Models, appendix A (any schedule, any two times). x in data units; u in model units, where noise lives.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasDenoiser, require
from fairway.core.numerics import expand_as_rows
from fairway.core.random import Rows, Seed, seed_of
from fairway.samplers.noise_grid import Level


def transition(here: Level, there: Level) -> tuple[float, float]:
    """The factor f and the variance v of u at a noisier level given u at this one.

    Raises:
        ValueError: the other level is not noisier.

    >>> transition(Level(0.0, 1.0, 0.0), Level(0.5, 0.5, 0.5))
    (0.5, 0.25)
    """
    if here.sigma * there.alpha > there.sigma * here.alpha:
        raise ValueError(f"expected a noisier level than t = {here.t:g}, got t = {there.t:g}")
    factor = there.alpha / here.alpha
    return factor, max(there.sigma**2 - (factor * here.sigma) ** 2, 0.0)


def noised(model: Any, x: Any, t: Tensor | float, *, generator: Seed = None) -> Tensor:
    """Noisy versions of x, in closed form.

    Args:
        model: a denoiser, for its units and its schedule.
        x: (n, *E) in data units; counted data are dequantised with fresh noise.
        t: one noise level in [0, 1] for all rows, or one for each (n,).
        generator: seed; a row does not depend on its neighbours.

    Returns:
        u_t (n, *U), model units.

    Raises:
        CapabilityError: not a denoiser. ValueError: shapes, or a level outside [0, 1].
    """
    u, rows = _data(model, x, generator)
    alpha, sigma = (expand_as_rows(c, u) for c in model.schedule(model._level(t, u)))
    out: Tensor = alpha * u + sigma * rows.normal(*u.shape[1:])
    return out


def noising_path(model: Any, x: Any, times: Sequence[float], *, generator: Seed = None) -> Tensor:
    """One path of the noising process through each row of x, a step from every level to the next.

    Args:
        model: a denoiser, for its units and its schedule.
        x: (n, *E) in data units; counted data are dequantised with fresh noise.
        times: rising noise levels in [0, 1].
        generator: seed; a row does not depend on its neighbours.

    Returns:
        (T, n, *U), model units: the points at those times.

    Raises:
        CapabilityError: not a denoiser. ValueError: times that do not rise within [0, 1], or shapes.
    """
    times = [float(t) for t in times]
    if not times or not 0 <= times[0] <= times[-1] <= 1 or not all(s < t for s, t in pairwise(times)):
        raise ValueError(f"expected times that rise within [0, 1], got {times}")
    u, rows = _data(model, x, generator)
    levels, states = [Level(0.0, 1.0, 0.0), *(Level.at(model.schedule, t) for t in times)], []
    for here, there in pairwise(levels):
        factor, variance = transition(here, there)
        u = factor * u + math.sqrt(variance) * rows.normal(*u.shape[1:])
        states.append(u)
    return torch.stack(states)


def _data(model: Any, x: Any, generator: Seed) -> tuple[Tensor, Rows]:
    """x in model units, and the noise for its rows."""
    require(model, (HasDenoiser,), "noising")
    x = model._checked(x)
    if x.ndim != len(model.event.shape) + 1:
        raise ValueError(f"expected x of shape (n, {', '.join(map(str, model.event.shape))}), got {tuple(x.shape)}")
    rows = Rows(seed_of(generator), len(x), 0, model.dtype, model.device)
    u, _ = model._to_model(x, rows.spawn(1) if model.preprocess.random else None)
    return u, rows
