"""What is drawn from: a log density, up to a constant, and its gradient.

    Target                u (B, *U) -> log p(u) + const (B,) nats, and its gradient (B, *U)
    Target.of(model)      any model with an energy or a score, in model units; by blocks, any discrete model
    Target.posterior      z -> log p(u, z): what an observation u says of the latent z, up to log p(u)
    Target.at_level       the noisy data of a diffusion model, p_t, by its score
    target.chains(index)  what some of the chains draw from, where each has a target of its own
    Tempered(target, q)   log p_beta = log q + beta f,  f = l - log q:   beta = 0 is q, beta = 1 is the target, exactly

l is the target's log density and q a normalised one, so the constant of p_1 is that of l: log Z = log of the integral
of exp(l). A target that knows no value (a score alone) says so with `log_prob=None`; its values are NaN.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasDenoiser, HasEnergy, HasGibbs, HasJoint, HasLogProb, HasScore, require
from fairway.core.event import COUNTED, Event
from fairway.core.numerics import expand_as_rows, standard_normal_log_prob
from fairway.core.random import Rows

Function = Callable[[Tensor], Tensor]
NUMBER = Event(())


@dataclass(frozen=True)
class Target:
    """A density to draw from.

    Args:
        log_prob: u (B, *U) -> (B,) nats, up to a constant; None where only the score is known.
        score: u -> gradient (B, *U); None for autograd of `log_prob`.
        event: what u is (its shape and kind), needed by whoever makes starting points and noise.
        start: rows -> starting points (B, *U); None for N(0, I), or for uniform levels where u is discrete.
        part: index (K,) -> the target of these chains alone, where each chain has its own (a context, an observation);
            None where all have the same.
        blocks, resample: for Gibbs, the number of blocks and (u, block, uniforms) -> u with that block redrawn.
        uniforms: shape of the uniform numbers of one round, for each chain; None for one number for each entry of u.
        dtype, device: of u.
        both: u -> log p (B,) and gradient (B, *U) in one pass without a graph, or None where it cannot.
        reference: the law that annealing starts from unless told otherwise; None for N(0, I).
    """

    log_prob: Function | None
    score: Function | None = None
    event: Event = NUMBER
    start: Callable[[Rows], Tensor] | None = None
    part: "Callable[[Tensor], Target] | None" = None
    blocks: int = 0
    resample: Callable[[Tensor, int, Tensor], Tensor] | None = None
    uniforms: tuple[int, ...] | None = None
    dtype: torch.dtype = torch.float64
    device: torch.device | str = "cpu"
    reference: Any = None
    both: Callable[[Tensor], tuple[Tensor, Tensor] | None] | None = None

    def value(self, u: Tensor) -> Tensor:
        """log p(u) (B,), detached; NaN where it is not known."""
        if self.log_prob is None:
            return u.new_full((len(u),), math.nan)
        with torch.no_grad():
            return _apart(self, lambda target, rows: (target.log_prob(rows),), u)[0]  # type: ignore[misc]

    def value_and_grad(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """log p(u) (B,) and its gradient (B, *U), detached."""
        if self.score is not None:
            return self.value(u), self.score(u).detach()
        if self.both is not None and (found := self.both(u)) is not None:
            return found
        if torch.compiler.is_compiling():
            return self._traced(u)
        value, grad = _apart(self, Target._differentiated, u)
        return value, grad

    def _differentiated(self, u: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            point = u.detach().requires_grad_()
            value = self.log_prob(point)  # type: ignore[misc]
            if value.grad_fn is None:  # constant where it stands, on a plateau
                return value.detach(), torch.zeros_like(u)
            (grad,) = torch.autograd.grad(value.sum(), point)
        return value.detach(), grad

    def _traced(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The same inside torch.compile, which follows torch.func and not torch.autograd."""

        def total(point: Tensor) -> tuple[Tensor, Tensor]:
            value = self.log_prob(point)  # type: ignore[misc]
            return value.sum(), value

        grad, value = torch.func.grad(total, has_aux=True)(u)
        return value, grad

    def chains(self, index: Tensor) -> "Target":
        """The target of the chains `index` (K,) alone, for who asks only for some of them."""
        return self if self.part is None else self.part(index)

    def starts(self, rows: Rows) -> Tensor:
        """Starting points, one per row."""
        if self.start is not None:
            return self.start(rows)
        shape = tuple(s or 1 for s in self.event.shape)
        if self.event.kind in COUNTED:
            return rows.integers(self.event.levels or 2, *shape) + int(self.event.low or 0)
        return rows.normal(*shape)

    def __post_init__(self) -> None:
        if self.log_prob is None and self.score is None and self.resample is None:
            raise ValueError("expected a target with log_prob, score or resample, got none of them")

    @classmethod
    def of(cls, model: Any, context: Tensor | None = None) -> "Target":
        """The target of a model in its own units: its energy where it has one, else its score alone.

        Args:
            model: what to draw from.
            context: (B, ...) embedded, a row for each chain; or one row for any number of chains.

        Raises:
            CapabilityError: a model with neither, and no blocks to redraw.
        """
        known: dict[str, Any] = {"event": model.model_event, "dtype": model.dtype, "device": model.device}
        if context is not None and len(context) > 1:
            known["part"] = lambda index: cls.of(model, context[index])
        if hasattr(model, "_chains"):
            known["start"] = lambda rows: model._chains(_for_rows(context, rows.n), rows)
        if hasattr(model, "_value_and_score"):
            known["both"] = lambda u: model._value_and_score(u, _for_rows(context, len(u)))
        if hasattr(model, "annealed_from"):
            known["reference"] = model.annealed_from
        if model.supports(HasGibbs, units="model"):
            known |= {"blocks": model.blocks, "resample": model._resample, "uniforms": model.gibbs_uniforms}
        if model.supports(HasEnergy, units="model"):
            return cls(lambda u: model._log_unnorm(u, _for_rows(context, len(u))), **known)
        if model.supports(HasLogProb, units="model"):  # a probability of discrete data
            return cls(lambda u: model._log_prob(u, _for_rows(context, len(u))), **known)
        if "resample" in known:
            return cls(None, **known)
        require(model, (HasScore,), "a chain")
        return cls(None, lambda u: model._score(u, _for_rows(context, len(u))), **known)

    @classmethod
    def posterior(cls, model: Any, x: Any, context: Any = None) -> "Target":
        """p(z | x) of a latent-variable model for observations x (B, *E), data units: chain i is given row i, so run
        as many chains as rows, or one row and any number of chains.

        Raises:
            CapabilityError: a model without a joint density of observation and latent.
        """
        require(model, (HasJoint,), "a posterior")
        u, _ = model._to_model(model._checked(x))
        return cls._given(model, u, model._context_rows(context, (len(u),)))

    @classmethod
    def _given(cls, model: Any, u: Tensor, context: Tensor | None) -> "Target":
        """p(z | u), model units."""

        def log_joint(z: Tensor) -> Tensor:
            rows = len(z) // len(u)
            if rows * len(u) != len(z):
                raise ValueError(f"expected a multiple of {len(u)} chains, one for each observation, got {len(z)}")
            repeat = [None if a is None else a.repeat(rows, *[1] * (a.ndim - 1)) for a in (u, context)]
            joint: Tensor = model._log_joint(repeat[0], z, repeat[1])
            return joint

        def part(index: Tensor) -> Target:
            row = index % len(u)
            return cls._given(model, u[row], None if context is None else context[row])

        return cls(log_joint, event=model.latent_event, dtype=model.dtype, device=model.device, part=part)

    @classmethod
    def at_level(cls, model: Any, t: float, context: Tensor | None = None) -> "Target":
        """p_t of a diffusion model at noise level t in (0, 1], by its score, in model units.

        Raises:
            CapabilityError: a model that does not denoise.
            ValueError: a level outside (0, 1]: at t = 0 the score is not defined by the denoiser.
        """
        require(model, (HasDenoiser,), "a chain at a noise level")
        if not 0 < t <= 1:
            raise ValueError(f"expected a noise level in (0, 1], got {t}")

        def score(u: Tensor) -> Tensor:
            level = torch.full((len(u),), t, dtype=u.dtype, device=u.device)
            out: Tensor = model._score_at(u, level, _for_rows(context, len(u)))
            return out

        return cls(None, score, event=model.model_event, dtype=model.dtype, device=model.device)


@dataclass(frozen=True)
class Reference:
    """q, the law that annealing starts from: N(mean, std^2), entry by entry.

    Args:
        mean, std: of every entry (broadcast over *U), model units.
    """

    mean: Tensor | float = 0.0
    std: Tensor | float = 1.0

    def sample(self, rows: Rows, shape: tuple[int, ...]) -> Tensor:
        """One draw per row, (B, *U)."""
        return self.mean + self.std * rows.normal(*shape)

    def log_prob(self, u: Tensor) -> Tensor:
        """(B,) nats."""
        log_std = torch.as_tensor(self.std, dtype=u.dtype, device=u.device).log().expand(u.shape[1:]).sum()
        return standard_normal_log_prob((u - self.mean) / self.std) - log_std

    def score(self, u: Tensor) -> Tensor:
        """(B, *U)."""
        return (self.mean - u) / (self.std * torch.as_tensor(self.std, dtype=u.dtype, device=u.device))


@dataclass(frozen=True)
class Tempered:
    """The path of densities pi_beta = exp(beta f) q / Z_beta from a reference to a target.

    Args:
        target: where the path ends, beta = 1.
        reference: where it starts, beta = 0; normalised, with `log_prob`, `score` and `sample`.
    """

    target: Target
    reference: Any = Reference()

    def at(self, beta: float | Tensor) -> Target:
        """The density at beta in [0, 1], one for all chains or one each (B,)."""
        q, end = self.reference, self.target

        def log_prob(u: Tensor) -> Tensor:
            return _blend(beta, q.log_prob(u), end.value(u))

        return _At(log_prob, event=end.event, start=end.start, dtype=end.dtype, device=end.device, path=self, beta=beta)

    def f(self, u: Tensor) -> Tensor:
        """(B,): l(u) - log q(u), what the path turns up."""
        return self.target.value(u) - self.reference.log_prob(u)


@dataclass(frozen=True)
class _At(Target):
    """One density of a path; the reference's gradient is in closed form, the target's is asked for once."""

    path: Tempered = None  # type: ignore[assignment]
    beta: float | Tensor = 0.0

    def chains(self, index: Tensor) -> Target:
        beta = self.beta[index] if isinstance(self.beta, Tensor) and self.beta.ndim else self.beta
        return replace(self.path, target=self.path.target.chains(index)).at(beta)

    def value_and_grad(self, u: Tensor) -> tuple[Tensor, Tensor]:
        value, grad = self.path.target.value_and_grad(u)
        q = self.path.reference
        row = expand_as_rows(self.beta, u) if isinstance(self.beta, Tensor) and self.beta.ndim else self.beta
        return _blend(self.beta, q.log_prob(u), value), _blend(row, q.score(u), grad)


def _for_rows(context: Tensor | None, rows: int) -> Tensor | None:
    """A context of one row serves any number of chains."""
    return context.expand(rows, *context.shape[1:]) if context is not None and len(context) == 1 else context


def _apart(target: Target, ask: Callable[[Target, Tensor], tuple[Tensor, ...]], u: Tensor) -> tuple[Tensor, ...]:
    """`ask(target, u)`; NaN for a row alone whose factorisation fails (far out, where a trajectory diverges)."""
    try:
        return ask(target, u)
    except torch.linalg.LinAlgError:
        if len(u) == 1:
            return u.new_full((1,), math.nan), torch.full_like(u, math.nan)
        halves = torch.arange(len(u), device=u.device).tensor_split(2)
        parts = [_apart(target.chains(half), ask, u[half]) for half in halves]
        return tuple(torch.cat(columns) for columns in zip(*parts, strict=False))


def _blend(beta: float | Tensor, start: Tensor, end: Tensor) -> Tensor:
    """(1 - beta) start + beta end: exactly `start` at beta = 0, even if `end` is infinite, and exactly `end` at 1."""
    if not isinstance(beta, Tensor):
        return start if beta == 0 else end if beta == 1 else start + beta * (end - start)
    return torch.where(beta == 0, start, torch.where(beta == 1, end, start + beta * (end - start)))


def function_target(log_prob: Function, shape: tuple[int, ...] | int, **known: Any) -> Target:
    """A target from a log density of your own on real vectors.

    Args:
        log_prob: u (B, *shape) -> (B,) nats, up to a constant, differentiable.
        shape: of one point; an integer d is (d,).
        known: other fields of `Target` (score, start, dtype, device).
    """
    return Target(log_prob, event=Event((shape,) if isinstance(shape, int) else tuple(shape)), **known)


def with_start(target: Target, start: Callable[[Rows], Tensor]) -> Target:
    """The same target with other starting points."""
    return replace(target, start=start)
