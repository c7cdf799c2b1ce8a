"""Draws of x given a noisy measurement y = A(x) + noise eps of it, by any denoiser and any differentiable A.

    score(u_t | y) = score(u_t) + grad log p(y | u_t)                                              Bayes' rule
    p(y | u_t)     ~ N(y; A(D), noise^2 I + S),    D = E[u_0 | u_t],    S = (sigma^2 / alpha) A' D' A'^T

A' and D' are slopes, and (sigma^2 / alpha) D' is the covariance of u_0 given u_t, which a denoiser knows (Tweedie).
The gradient is D'^T A'^T w with (noise^2 + S) w = r, r = y - A(D); w is found by one iteration of conjugate gradients,

    w = r / (noise^2 + rho),    rho = r' S r / |r|^2 = (sigma^2 / alpha) <A'^T r, D'^T A'^T r> / |r|^2

for which the one slope that is needed anyway is enough. Of Gaussian data and one measured number it is exact as steps
grow; of two, means are off by up to 0.08 posterior standard deviations. S = 0 is the paper's likelihood (theorem 1),
whose pull is too strong by (noise^2 + S) / noise^2 where there is much noise; so the paper goes by zeta / |r| instead,
found by trial and blind to `noise` (algorithm 1). With `zeta` so does this: on the same Gaussian means are off by 0.1
to 0.5 standard deviations at 0.3. Sources: Chung et al. 2023, Diffusion Posterior Sampling for General Noisy Inverse
Problems; for S, Boys et al. 2023, Tweedie Moment Projected Diffusions for Inverse Problems.

Units: x, y and noise in data units. A is shown D in data units, so that its slope has the standardisation within: A' is
that of the composition. Counted data are shown to A as real numbers between their levels.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fairway.applications.inpainting import check_counts
from fairway.core.arrays import as_tensor
from fairway.core.capability import HasDenoiser, require
from fairway.core.numerics import expand_as_rows
from fairway.core.preprocessing import Chain, Dequantise, Preprocessing
from fairway.core.random import Rows, Seed, seed_of
from fairway.samplers.ddim import posterior_variance, towards
from fairway.samplers.noise_grid import Level, noise_levels

Measure = Callable[[Tensor], Tensor]  # x (N, *E) in data units -> (N, *Y)


def posterior_sample(
    model: Any,
    measure: Measure,
    y: Any,
    noise: float,
    n: int = 1,
    *,
    context: Any = None,
    steps: int = 200,
    zeta: float | None = None,
    grid: str = "log_snr",
    generator: Seed = None,
    batch_size: int | None = None,
) -> Tensor:
    """Draw from p(x | y); an evaluation of the network and its gradient a step.

    Args:
        model: a denoiser of p(x).
        measure: A, from x (N, *E) in data units to (N, *Y), row by row and differentiable.
        y: (B, *Y), or one measurement (*Y).
        noise: standard deviation of the measurement, above 0, in units of y.
        n: draws for each measurement.
        context: one context (*C), or one for each measurement (B, *C), of a conditional model.
        steps: noise levels.
        zeta: the paper's step in place of the likelihood's; 0.3 to 1 there.
        grid: "log_snr", "karras" or "time".
        generator: seed; draws do not depend on `batch_size`, and n of them are the first of n + m.
        batch_size: draws at once.

    Returns:
        (B, n, *E) in data units, or (n, *E) for one measurement.

    Raises:
        CapabilityError: not a denoiser.
        ValueError: a noise or a count that is none, or a measurement of another shape than `measure` gives.
    """
    require(model, (HasDenoiser,), "posterior sampling")
    check_counts(grid, n=n, steps=steps)
    for name, value in {"noise": noise, "zeta": 1.0 if zeta is None else zeta}.items():
        if isinstance(value, bool) or not 0 < value < math.inf:
            raise ValueError(f"expected {name} as a number above 0, got {value!r}")
    y, one = _measurements(model, measure, y)
    contexts, seed, total, parts = model._context_rows(context, (len(y),)), seed_of(generator), n * len(y), []
    problem = Problem(model, measure, float(noise), zeta)
    size = batch_size or model.rows_at_once
    for a in range(0, total, size):
        row = torch.arange(a, min(a + size, total), device=y.device) % len(y)
        rows = Rows(seed, len(row), a, model.dtype, model.device)
        given = None if contexts is None else contexts[row]
        with torch.no_grad():
            drawn = _draw(problem, y[row], given, rows, noise_levels(model.schedule, steps, grid))
            parts.append(model._to_data(drawn))
    drawn = torch.cat(parts)
    draws = drawn.reshape(n, len(y), *drawn.shape[1:]).transpose(0, 1)
    return draws[0] if one else draws


class Problem(NamedTuple):
    """What is measured of what, see `posterior_sample`."""

    model: Any
    measure: Measure
    noise: float
    zeta: float | None


def _draw(problem: Problem, y: Tensor, context: Tensor | None, rows: Rows, levels: list[Level]) -> Tensor:
    """(B, *U): one draw a row of y (B, *Y), by ancestral steps."""
    u, fresh = problem.model._prior(rows), rows.spawn(1)
    for here, there in pairwise(levels):
        data, pull = _estimate(problem, u, here, y, context)
        variance = posterior_variance(here, there)
        mean = towards(u, data, here, there, variance) + pull
        u = mean + math.sqrt(variance) * fresh.normal(*u.shape[1:])
    return _estimate(problem, u, levels[-1], y, context)[0]


def _estimate(problem: Problem, u: Tensor, level: Level, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """E[u_0 | u_t, y] (B, *U), and what the paper's rule adds to the next point (B, *U), 0 without it."""
    with torch.enable_grad():
        point = u.detach().requires_grad_()
        data = problem.model._denoise(point, u.new_full((len(u),), level.t), context)
        rest = y - problem.measure(in_data_units(problem.model.preprocess, data).to(u.dtype))
        at_data, at_point = torch.autograd.grad(rest, (data, point), -rest)  # A'^T r and D'^T A'^T r
    data, size = data.detach(), _inner(rest, rest).detach().clamp(min=torch.finfo(u.dtype).tiny)
    if problem.zeta is not None:
        return data, 2 * problem.zeta * at_point / expand_as_rows(size.sqrt(), u)
    if not level.alpha:  # nothing of the data is left to be measured
        return data, torch.zeros_like(data)
    spread = level.sigma**2 / level.alpha  # of u_0 given u_t, times D'
    rho = (spread * _inner(at_data, at_point) / size).clamp(min=0)
    return data + spread * at_point / expand_as_rows(problem.noise**2 + rho, u), torch.zeros_like(data)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """(B, ...) x (B, ...) -> (B,)."""
    return (a * b).flatten(1).sum(1)


def in_data_units(preprocess: Preprocessing, u: Tensor) -> Tensor:
    """u in data units with a slope everywhere: counted data stay real, as if not yet rounded."""
    maps = list(preprocess.maps) if isinstance(preprocess, Chain) else [preprocess]
    for part in reversed(maps):
        u = u - 0.5 if isinstance(part, Dequantise) else part.to_data(u)  # type: ignore[operator]
    return u


def _measurements(model: Any, measure: Measure, y: Any) -> tuple[Tensor, bool]:
    """y as (B, *Y), and whether it was one."""
    y = as_tensor(y, "y").to(device=model.device, dtype=model.dtype)
    if not bool(torch.isfinite(y).all()):
        raise ValueError("expected finite measurements y, got NaN or infinity")
    shape = tuple(s or 1 for s in model.model_event.shape)
    probe = in_data_units(model.preprocess, torch.zeros(2, *shape, dtype=model.dtype, device=model.device))
    with torch.no_grad():
        seen = measure(probe.to(model.dtype))
    if not isinstance(seen, Tensor) or seen.ndim < 2 or len(seen) != 2:
        got = tuple(seen.shape) if isinstance(seen, Tensor) else type(seen).__name__
        raise ValueError(f"expected measure to take (2, *E) to (2, *Y), one measurement a row, got {got}")
    one = y.shape == seen.shape[1:]
    if not one and (y.ndim != seen.ndim or y.shape[1:] != seen.shape[1:]):
        raise ValueError(f"expected y of shape (B, *Y) with Y = {tuple(seen.shape[1:])}, got {tuple(y.shape)}")
    return (y.unsqueeze(0) if one else y), one
