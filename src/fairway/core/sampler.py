"""How a model is drawn from: a sampler turns capabilities into draws, in model units.

A sampler `requires` capabilities of the model (a score, a velocity) and knows nothing else of it, so that any sampler
draws from any model that answers its questions. `Draws` is the one result: samples with what the run cost and what it
says of itself. "Strokes" are network evaluations per sample: the golf score.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasSample, require
from fairway.core.config import Configurable, lookup
from fairway.core.random import Rows, generator_for


@dataclass
class Draws:
    """Samples and the run's own account.

    Args:
        samples: (n, *U) in model units ((n, *E) in data units once a model hands them out).
        evaluations: network evaluations per sample, forward passes and gradients each counted once.
        most_evaluations: of the sample that took most, where samples take different numbers; `evaluations` is the mean.
        log_weights: (n,) importance weights, where the sampler makes them.
        log_Z: estimate of the log of the integral of exp(log density), nats, where the sampler makes one.
        ess: (*U,) effective number of independent draws behind the chains' means, entry by entry.
        rhat: (*U,) split R-hat, entry by entry: 1 where chains agree.
        acceptance: mean acceptance rate of a Metropolis step.
        divergences: moves whose energy error was too large to follow the density.
        n_grad: gradients (or values, where the sampler needs no gradient) in all, warm-up included.
        effective_temperature: of a Langevin kernel; 1 draws from the model itself.
        trace: (steps, n, *U) states, when asked for.
        info: anything else, by name.
    """

    samples: Tensor
    evaluations: float = 1.0
    log_weights: Tensor | None = None
    log_Z: float | None = None
    ess: Tensor | None = None
    rhat: Tensor | None = None
    acceptance: float | None = None
    divergences: int | None = None
    n_grad: int | None = None
    effective_temperature: float | None = None
    trace: Tensor | None = None
    info: dict[str, Any] = field(default_factory=dict)
    most_evaluations: float | None = None

    @classmethod
    def concatenate(cls, parts: Sequence["Draws"]) -> "Draws":
        """Rows of several runs of the same sampler as one."""
        if len(parts) == 1:
            return parts[0]
        weights = [p.log_weights for p in parts if p.log_weights is not None]
        traces = [p.trace for p in parts if p.trace is not None]
        sizes = [len(p.samples) for p in parts]
        divergences = [p.divergences for p in parts if p.divergences is not None]
        gradients = [p.n_grad for p in parts if p.n_grad is not None]
        ess = [p.ess for p in parts if p.ess is not None]
        rhat = [p.rhat for p in parts if p.rhat is not None]
        most = [p.most_evaluations for p in parts if p.most_evaluations is not None]
        accepted = [p.acceptance * n for p, n in zip(parts, sizes, strict=True) if p.acceptance is not None]
        return cls(
            torch.cat([p.samples for p in parts]),
            evaluations=sum(p.evaluations * n for p, n in zip(parts, sizes, strict=True)) / sum(sizes),
            log_weights=torch.cat(weights) if weights else None,
            acceptance=sum(accepted) / sum(sizes) if accepted else None,
            ess=torch.stack(ess).sum(0) if ess else None,
            rhat=torch.stack(rhat).amax(0) if rhat else None,
            divergences=sum(divergences) if divergences else None,
            n_grad=sum(gradients) if gradients else None,
            effective_temperature=parts[0].effective_temperature,
            trace=torch.cat(traces, 1) if traces else None,
            info=parts[0].info,
            most_evaluations=max(most) if most else None,
        )


def systematic(weights: Tensor, uniform: Tensor) -> Tensor:
    """Systematic resampling, row by row.

    Args:
        weights: (M, n), up to a factor.
        uniform: (M, 1) in [0, 1).

    Returns:
        indices (M, n), in order.

    >>> systematic(torch.tensor([[0.5, 0.0, 0.25, 0.25]]), torch.tensor([[0.5]])).tolist()
    [[0, 0, 2, 3]]
    """
    n = weights.shape[1]
    edges = weights.double().cumsum(1)
    points = (torch.arange(n, device=weights.device) + uniform.double()) / n * edges[:, -1:]
    return torch.searchsorted(edges, points, right=True).clamp(max=n - 1)


def equally_weighted(samples: Tensor, log_weights: Tensor, seed: int) -> Tensor:
    """As many samples, equally weighted, out of weighted ones; heavy ones repeat.

    Args:
        samples: (n, *E), or (B, n, *E) one set per context. log_weights: (n,) or (B, n), nats.

    Raises:
        ValueError: a set whose every weight is zero.
    """
    flat = log_weights.reshape(-1, log_weights.shape[-1]).double()
    if not bool((flat > -math.inf).any(1).all()):
        raise ValueError("expected a positive weight, got none; the draws missed the target: use more temperatures")
    uniform = torch.rand(len(flat), 1, generator=generator_for(seed), dtype=torch.float64)
    index = systematic(flat.softmax(1).cpu(), uniform).to(samples.device)
    sets = samples.reshape(len(flat), flat.shape[1], *samples.shape[log_weights.ndim :])
    return torch.stack([rows[i] for rows, i in zip(sets, index, strict=True)]).reshape(samples.shape)


class Sampler(Configurable, ABC):
    """Draws from a model that has what it requires."""

    role: ClassVar[str] = "sampler"
    requires: ClassVar[tuple[type[Capability], ...]] = (HasSample,)
    coupled: ClassVar[bool] = False  # chains depend on one another: never split into batches

    @abstractmethod
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
        """n draws in model units; context (n, ...) embedded; init (n, *U) starting points."""

    def check(self, model: Any) -> None:
        """Whether the model answers what this sampler asks.

        Raises:
            CapabilityError: names what is missing.
        """
        require(model, self.requires, f"the sampler {self.name()}")


class Pass(Sampler):
    """Draws that the model makes by itself, from no starting point: write `_draw`."""

    @abstractmethod
    def _draw(self, model: Any, n: int, context: Tensor | None, rows: Rows) -> Draws:
        """n draws in model units, and what they cost."""

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
        if init is not None:
            raise ValueError(
                f"{model.name()} draws directly: expected no init; use an MCMC sampler to start from points"
            )
        return self._draw(model, n, context, generator)


class Direct(Pass):
    """The model's own draw, `_sample`: ancestral, or one pass of a generator."""

    def _draw(self, model: Any, n: int, context: Tensor | None, rows: Rows) -> Draws:
        return Draws(model._sample(n, context, rows), evaluations=float(model.strokes))


def as_sampler(sampler: Any) -> Sampler:
    """A sampler from a sampler, a registered name, or a kernel (wrapped by its own `as_sampler`).

    Raises:
        TypeError: none of these.
    """
    if isinstance(sampler, str):
        sampler = lookup("sampler", sampler)()
    if isinstance(sampler, Sampler):
        return sampler
    if hasattr(sampler, "as_sampler"):
        wrapped: Sampler = sampler.as_sampler()
        return wrapped
    raise TypeError(f"expected a sampler, a kernel or a registered name, got {type(sampler).__name__}")
