"""The density of a denoiser with its two errors: that of the steps, and that of the trace.

    log p(u) = log p_Z(w(s_1)) + int tr(dw'/dw) ds - D log c      along the course of `log_prob`, see `probability_flow`

    steps    classical Runge-Kutta has an error C h^4 with steps h, 16 C h^4 with 2 h: a fifteenth of the difference is
             the first (Richardson 1911). It sees no error that both share: a wrong network, a wrong prior.
    trace    exact from D vector-Jacobian products; or v' J v, v random signs, with E[v v'] = I (Hutchinson 1989),
             K independent estimates of the whole integral: the error of their mean is std / sqrt(K)

Probes are drawn anew at every evaluation and for every row: along the path their errors average out. The coarse solve
cannot have the same ones, so one direction more is held fixed over both solves, and the error of the steps read off it.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.capability import CapabilityError, HasLogProb
from fairway.core.ode import Field, integrate
from fairway.core.random import Rows, Seed, seed_of
from fairway.models.diffusion.denoiser import Denoiser
from fairway.models.diffusion.probability_flow import Course

ROWS_AT_ONCE = 128  # in a vector-Jacobian product: of few rows, several directions share one

Directions = Callable[[int], Tensor]  # evaluation -> (K, B, D)


@dataclass(frozen=True)
class Density:
    """log p(x) and what it is wrong by, each (*L,), nats.

    Args:
        value: log p(x), data units.
        step_error: estimate of the size of the solver's error.
        probe_error: standard error over probes: 0 for the exact trace, NaN for one probe, which has no spread.
    """

    value: Tensor
    step_error: Tensor
    probe_error: Tensor


def density(
    model: Denoiser,
    x: Tensor,
    context: Tensor | None = None,
    *,
    probes: int | None = None,
    steps: int | None = None,
    generator: Seed = 0,
    batch_size: int | None = None,
) -> Density:
    """log p(x) by the probability flow, with its errors.

    Args:
        model: a denoiser, in evaluation mode.
        x: (*L, *E) in data units; context (*L', *C), L' a prefix of L.
        probes: K, for Hutchinson's estimate of the trace; None for the exact trace, D slopes an evaluation: that of an
            image of 28 x 28 costs 784.
        steps: of Runge and Kutta, four evaluations each; None for as many as `log_prob` takes. Half as many are taken
            once more for the error.
        generator: seed of the probes; rows do not depend on their neighbours.
        batch_size: rows at once.

    Returns:
        value, step_error and probe_error, each (*L,).

    Raises:
        CapabilityError: not a denoiser, or data that are dequantised, whose density is a bound.
        ValueError: fewer than two steps, no probe, or shapes that do not fit.
    """
    if not isinstance(model, Denoiser) or not model.supports(HasLogProb):
        raise CapabilityError(f"a density with its errors needs a denoiser that answers 'log_prob', got {model.name()}")
    steps = model.density_steps if steps is None else steps
    if steps < 2 or (probes is not None and probes < 1):
        raise ValueError(f"expected steps of at least 2 and probes of at least 1 or None, got {steps} and {probes}")
    seed = seed_of(generator)

    def rows_of(x: Tensor, context: Tensor | None, start: int) -> Tensor:
        u, ladj = model._to_model(x)
        rows = Rows(seed, len(u), start, u.dtype, u.device)
        value, *errors = _with_errors(model, u, context, steps, probes, rows)
        return torch.stack([value + ladj, *errors], -1)

    with torch.no_grad():
        return Density(*model._over_rows(rows_of, as_tensor(x), context, batch_size).unbind(-1))


def _with_errors(
    model: Denoiser, u: Tensor, context: Tensor | None, steps: int, probes: int | None, rows: Rows
) -> tuple[Tensor, Tensor, Tensor]:
    """log p(u), its step error and its probe error, each (B,), model units."""
    coarse, dims = steps // 2, u[0].numel()
    if probes is None:
        fine, rough = (_log_probs(model, u, context, n, None) for n in (steps, coarse))
        return fine[0], _step_error(fine[0], rough[0], steps / coarse), torch.zeros_like(fine[0])
    witness = _signs(rows.spawn(0), 1, dims)
    fine = _log_probs(model, u, context, steps, lambda k: torch.cat([_signs(rows.spawn(k + 1), probes, dims), witness]))
    rough = _log_probs(model, u, context, coarse, lambda _: witness)
    values = fine[:-1]
    spread = values.std(0) if probes > 1 else torch.full_like(values[0], math.nan)
    return values.mean(0), _step_error(fine[-1], rough[0], steps / coarse), spread / probes**0.5


def _step_error(fine: Tensor, rough: Tensor, ratio: float) -> Tensor:
    """Size of the error of the finer of two values, whose steps differ by a factor, for a method of order four."""
    return (fine - rough).abs() / (ratio**4 - 1)


def _signs(rows: Rows, probes: int, dims: int) -> Tensor:
    """(K, B, D) random signs."""
    return ((rows.uniform(probes, dims) < 0.5).to(rows.dtype) * 2 - 1).transpose(0, 1)


def _log_probs(model: Denoiser, u: Tensor, context: Tensor | None, steps: int, directions: Directions | None) -> Tensor:
    """log p(u) (K, B), one for each direction at a time; (1, B) with the exact trace for None."""
    course, dims, evaluation = model._course(), u[0].numel(), itertools.count()
    identity = torch.eye(dims, dtype=u.dtype, device=u.device).unsqueeze(1)
    estimates = 1 if directions is None else len(directions(0))

    def augmented(state: Tensor, s: Tensor) -> Tensor:
        w = state[:, :dims].reshape(u.shape)
        vs = identity if directions is None else directions(next(evaluation))
        velocity, along = _slopes(lambda w, s: _slope(course, w, s, context), w, s, vs)
        traces = along.sum(0, keepdim=True) if directions is None else along
        return torch.cat([velocity.flatten(1), traces.T], 1)

    start = torch.cat([(u / course.scale).flatten(1), u.new_zeros(len(u), estimates)], 1)
    end = integrate(augmented, start, course.grid(steps, u))
    log_prior = model._log_base(end[:, :dims]) - dims * math.log(course.scale)
    return (log_prior.unsqueeze(1) + end[:, dims:]).T


def _slope(course: Course, w: Tensor, s: Tensor, context: Tensor | None) -> Tensor:
    """The field for rows that are repeated R times, their contexts with them."""
    given = None if context is None else context.repeat(len(w) // len(context), *[1] * (context.ndim - 1))
    return course.slope(w, s, given)


def _slopes(field: Field, w: Tensor, s: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """field (B, *U) and v' (dfield/dw) v for each direction (K, B).

    Rows are repeated so that several directions share a backward pass; the forward pass is kept for all of them.
    """
    n, count = len(w), len(directions)
    repeats = min(max(ROWS_AT_ONCE // n, 1), count)
    with torch.enable_grad():
        point = w.repeat(repeats, *[1] * (w.ndim - 1)).requires_grad_()
        velocity = field(point, s)
        parts = []
        for vs in directions.split(repeats):
            v = vs.expand(-1, n, -1).reshape(-1, vs.shape[2])
            flat = velocity.flatten(1)[: len(v)]
            (slope,) = torch.autograd.grad(flat, point, v, retain_graph=True)
            parts.append((slope.flatten(1)[: len(v)] * v).sum(1).reshape(-1, n))
    return velocity[:n].detach(), torch.cat(parts)


__all__ = ["Density", "density"]
