"""Clauses on denoisers, in model units: three answers of one network that must tell the same story.

    u_t = alpha u_0 + sigma eps
    score_at(u, t) = (alpha E[u_0 | u_t] - u) / sigma^2                                          (Tweedie)
    velocity       = alpha' E[u_0 | u_t] + sigma' E[eps | u_t],  E[eps | u_t] = (u - alpha E[u_0 | u_t]) / sigma

with alpha', sigma' by differences in t. A sign or a factor that is wrong in one of them shows against the others.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasDenoiser
from fairway.core.numerics import expand_as_rows
from fairway.core.random import Rows
from fairway.testing.check import check, expect, expect_close
from fairway.testing.configuration import expect_error
from fairway.testing.subject import Subject

LEVELS = (0.1, 0.35, 0.6, 0.9)


def denoises(model: Any) -> bool:
    """denoise and score_at can be asked."""
    return bool(model.supports(HasDenoiser))


def noisy(s: Subject) -> tuple[Tensor, Tensor, Tensor | None]:
    """Points u (4, *U), one at each noise level t (4,), and their contexts."""
    u = Rows(3, len(LEVELS), dtype=torch.float64).normal(*s.model.model_event.shape)
    return u, torch.tensor(LEVELS, dtype=torch.float64), s.rows(len(LEVELS))[1]


@check(denoises, states=("redrawn",))
def denoising_works_at_every_level(s: Subject) -> None:
    u, t, context = noisy(s)
    with torch.no_grad():
        for ask in (s.model.denoise, s.model.score_at):
            both = ask(u, t, context)
            expect(both.shape == u.shape and bool(both.isfinite().all()), f"{ask.__name__}: {both}")
            each = [ask(u[i : i + 1], float(t[i]), None if context is None else context[i : i + 1]) for i in range(4)]
            expect_close(both, torch.cat(each), f"{ask.__name__} of rows alone", 1e-6, 1e-6)
            expect(ask(u, 0.0, context).isfinite().all(), f"{ask.__name__} at t = 0 is not finite")
            expect(ask(u, 1.0, context).isfinite().all(), f"{ask.__name__} at t = 1 is not finite")
            expect_error(ValueError, "expected", f"{ask.__name__} at t = 1.5", ask, u, 1.5, context)


@check(denoises)
def score_is_tweedies(s: Subject) -> None:
    u, t, context = noisy(s)
    with torch.no_grad():
        alpha, sigma = (expand_as_rows(c, u) for c in s.model.schedule(t))
        expected = (alpha * s.model.denoise(u, t, context) - u) / sigma.square()
        expect_close(s.model.score_at(u, t, context), expected, "score_at against denoise", 1e-6, 1e-6)


@check(denoises)
def velocity_is_the_denoisers(s: Subject) -> None:
    u, t, context = noisy(s)
    step = 1e-5
    with torch.no_grad():
        (alpha, sigma), ahead, behind = (s.model.schedule(t + d) for d in (0, step, -step))
        slopes = [expand_as_rows((a - b) / (2 * step), u) for a, b in zip(ahead, behind, strict=True)]
        data = s.model.denoise(u, t, context)
        noise = (u - expand_as_rows(alpha, u) * data) / expand_as_rows(sigma, u)
        velocity = s.model._velocity(u, t, s.model._context_rows(context, (len(u),)))
        expect_close(velocity, slopes[0] * data + slopes[1] * noise, "velocity against denoise", 1e-4, 1e-4)


CHECKS = [denoising_works_at_every_level, score_is_tweedies, velocity_is_the_denoisers]
