"""Variational inference: a model fitted to a density of your own, known up to a constant, without data.

    q* = argmin KL(q || p),   p = p~ / Z,        E_q[log p~ - log q] <= log Z

The loop is that of `fit`, on rows that hold nothing: the objective takes their number alone (`objectives.reverse_kl`).
Where `samplers.draw` walks, this learns: its draws are independent and cost one pass, with their density, and are those
of q, not of p.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from fairway.core.event import Event
from fairway.core.model import Model
from fairway.data.dataset import Dataset
from fairway.metrics.evidence import evidence_bound
from fairway.objectives.reverse_kl import ReverseKL
from fairway.samplers.mcmc import frozen
from fairway.samplers.target import Target
from fairway.training.fit import fit

STEPS = 3000
WARM_UP = 4  # the target cools down over one step in so many


def approximate(
    model: str | Model,
    target: Callable[[Tensor], Tensor] | Target | Model,
    shape: int | tuple[int, ...] | None = None,
    *,
    steps: int | None = None,
    warm_up: int | None = None,
    batch_size: int = 256,
    draws: int = 4096,
    seed: int = 0,
    **options: Any,
) -> Model:
    """Fit a model to a log density; it comes back in eval mode, with `history` and `log_Z`, a lower bound.

    Args:
        model: a registered name ("planar", "real_nvp"), or an instance on real numbers of that shape.
        target: log p~, a function u (B, *shape) -> (B,), nats, up to a constant, differentiable, on all real numbers;
            or a `Target`; or a model with an energy, which is fitted in its own units.
        shape: of one point, where a function is given; an integer d is (d,).
        steps: number of steps; None for 3,000, or what a `budget=` buys.
        warm_up: steps over which the target's inverse temperature grows from 0.01 to 1; None for a quarter of `steps`.
        batch_size: draws per step.
        draws: for the bound on log Z after training.
        seed: of everything drawn.
        options: as in `fit`.

    Raises:
        TypeError: a target that is none of these, or without its shape.
        CapabilityError: a model without reparameterised draws.

    >>> model = approximate("planar", lambda u: -0.5 * (u - 1).square().sum(1), 2, steps=200, transforms=2, lr=2e-2)
    >>> model.log_Z.relation, abs(model.log_Z.value - 1.84) < 0.5        # log 2 pi
    ('lower', True)
    """
    known, event = _known(target, shape)
    if steps is None and options.get("budget") is None:
        steps = STEPS
    warm_up = (steps or STEPS) // WARM_UP if warm_up is None else warm_up
    rows = Dataset(_placeholders(batch_size, event), event, name="none", source="none")
    own = {"steps": steps, "batch_size": batch_size, "seed": seed, "preprocess": False, "validation": 0.0}
    with frozen(target) if isinstance(target, Model) else nullcontext():
        fitted = fit(model, rows, objective=ReverseKL(known, warm_up), **own, **options)  # type: ignore[arg-type]
    object.__setattr__(fitted, "log_Z", evidence_bound(fitted, known, n=draws, generator=seed))
    return fitted


def _placeholders(n: int, event: Event) -> Tensor:
    """(n, *E): as many rows as draws; what they hold is not looked at, though no column may be constant."""
    shape = tuple(s or 1 for s in event.shape)
    return torch.linspace(-1, 1, n).reshape(n, *[1] * len(shape)).expand(n, *shape).contiguous()


def _known(target: Any, shape: int | tuple[int, ...] | None) -> tuple[Callable[[Tensor], Tensor], Event]:
    """The log density of a target, and the event of its points."""
    if isinstance(target, Model):
        target = Target.of(target)
    if isinstance(target, Target):
        if target.log_prob is None:
            raise TypeError("expected a target with a log density, got one that knows its score alone")
        return target.log_prob, target.event
    if not callable(target):
        raise TypeError(f"expected a log density, a Target or a model, got {type(target).__name__}")
    if shape is None:
        raise TypeError("expected the shape of one point with a log density of your own, such as 2 or (2,)")
    return target, Event((shape,) if isinstance(shape, int) else tuple(shape))
