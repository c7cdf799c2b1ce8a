"""A model is a distribution and what it can be asked.

Public methods are final: they check shapes, accept any leading dims (*L, *E), convert data units to model units and
back, split into batches, and refuse questions the model cannot answer here. Authors write hooks (see `capability`),
which see one flat batch axis in model units:

    log_prob(x) = _log_prob(u) + log|det du/dx|,   u = preprocess(x)
    sample(n)   = preprocess^-1(sampler.run(model, n))

In eval mode (as `fit` returns the model) answers carry a gradient only to an argument that asks for one; in train
mode they carry it to the parameters too.
"""

from abc import ABC
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from fairway.core.capability import (
    CAPABILITIES,
    Capability,
    CapabilityError,
    HasBound,
    HasConditional,
    HasDecoder,
    HasDenoiser,
    HasEnergy,
    HasLatent,
    HasLogProb,
    HasMarginal,
    HasReparameterised,
    HasSample,
    HasScore,
    HasVelocity,
    refuse_two_answers,
)
from fairway.core.case import Case
from fairway.core.conditional import Conditional
from fairway.core.config import Configurable
from fairway.core.event import Event
from fairway.core.low_precision import drawing
from fairway.core.noise_level import noise_level
from fairway.core.objective import Objective, Solver, Stage
from fairway.core.ode import EXACT_TRACE
from fairway.core.preprocessing import Preprocessing, context_default, continuous
from fairway.core.random import Rows, Seed, mix, seed_of
from fairway.core.row_wise import RowWise
from fairway.core.sampler import Direct, Draws, Sampler, as_sampler, equally_weighted
from fairway.core.summary import Summary, summary

__all__ = ("Case", "Conditional", "Model", "final")

F = TypeVar("F", bound=Callable[..., Any])


def final(method: F) -> F:
    """Mark a public method that no subclass may override."""
    method.__fairway_final__ = True  # type: ignore[attr-defined]
    return method


def _is_final(member: Any) -> bool:
    return getattr(getattr(member, "__func__", member), "__fairway_final__", False)  # a classmethod wraps its function


class Model(Configurable, RowWise, ABC):
    """Base of every model.

    Args:
        event: what one observation is, in data units.
        context_event: what one context is, or None.

    Class attributes:
        accepts: event kinds it takes. accepts_context: context kinds it takes. tiny: cases for the contract.
        cites: keys of fairway/citations.bib. strokes: network evaluations per sample of a direct draw.
        draws_roughly: draws bear products in bfloat16, see `low_precision`.
    """

    role: ClassVar[str] = "model"
    accepts: ClassVar[tuple[str, ...]] = ("real", "bounded", "positive", "integer", "binary")
    accepts_context: ClassVar[tuple[str, ...]] = ()
    cites: ClassVar[tuple[str, ...]] = ()
    draws_roughly: ClassVar[bool] = False
    tiny: ClassVar[list[Case]] = []

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in cls.__dict__:
            if any(_is_final(base.__dict__.get(name)) for base in cls.__mro__[1:]):
                raise TypeError(f"{cls.__name__} overrides the final method {name}; write the hook _{name} instead")
        refuse_two_answers(cls)

    def __init__(self, event: Event, context_event: Event | None = None) -> None:
        super().__init__()
        self._check_events(event, context_event)
        self.event, self.context_event = event, context_event
        self.preprocess = self.preprocessing(event)
        self.context_preprocess = None if context_event is None else context_default(context_event)
        self.model_event = self.preprocess.model_event
        self.register_buffer("_anchor", torch.zeros(()), persistent=False)  # dtype and device of a bare model

    def _check_events(self, event: Event, context_event: Event | None) -> None:
        if event.kind not in self.accepts:
            raise ValueError(f"{self.name()} takes events of kind {', '.join(self.accepts)}; got {event.kind!r}")
        if event.missing and not isinstance(self, HasMarginal):
            raise ValueError(
                f"{self.name()} cannot learn from NaN: impute or drop those rows, or use a model that "
                "marginalises (fairway list --capability marginal)"
            )
        if context_event is not None and context_event.kind not in self.accepts_context:
            takes = f"context of kind {', '.join(self.accepts_context)}" if self.accepts_context else "no context"
            raise ValueError(f"{self.name()} takes {takes}; got {context_event}")

    # -- what the author chooses --------------------------------------------------------------------------------
    def default_objective(self) -> Objective | Solver:
        """How this model learns unless the user says otherwise."""
        raise TypeError(f"{self.name()} has no default objective; pass objective=... to fit")

    def default_sampler(self) -> Sampler:
        """How this model is drawn from unless the user says otherwise."""
        return Direct()

    def stages(self, objective: Objective | Solver | None = None) -> list[Stage]:
        """The parts of a training run, in order."""
        return [Stage("fit", self, objective or self.default_objective())]

    def preprocessing(self, event: Event) -> Preprocessing:
        """The unfitted map from data units to model units."""
        return continuous(event)

    def _context(self, context: Tensor) -> Tensor:
        """Embed a context (B, ...) in model units; called once, before the hooks."""
        return context

    @property
    def strokes(self) -> float:
        """Network evaluations per sample of a direct draw."""
        return 1.0

    @property
    def compiles(self) -> bool:
        """Whether compiled training was measured to be faster, so that it may be chosen without asking."""
        return False

    @property
    def likelihood(self) -> str:
        """The method of this instance's density: exact, numerical, estimate or none."""
        if isinstance(self, HasVelocity):
            return "numerical" if self.model_event.dims <= EXACT_TRACE else "estimate"
        return "exact" if isinstance(self, HasLogProb) else "estimate" if isinstance(self, HasBound) else "none"

    def health(self) -> dict[str, float]:
        """Numbers for the training log that tell how this model is doing, by name."""
        return {}

    # -- what it can be asked -----------------------------------------------------------------------------------
    @final
    def supports(self, capability: type[Capability], *, units: str = "data") -> bool:
        """Whether this instance answers the question, in data units (users) or model units (objectives, samplers)."""
        if capability is HasSample and units == "data":
            return True
        score_like = capability in (HasScore, HasEnergy, HasLogProb)
        if capability is HasScore and (self.model_event.counted or (units == "data" and self.event.counted)):
            return False
        if units == "model" or not (score_like or capability in (HasBound, HasMarginal, HasReparameterised)):
            return isinstance(self, capability)
        density = self.preprocess.density
        if capability is HasBound:
            return density != "none" and isinstance(self, HasLogProb | HasBound)
        return density == "exact" and isinstance(self, capability)

    @property
    def capabilities(self) -> frozenset[str]:
        """What this instance answers, in data units."""
        return frozenset(c.asks for c in CAPABILITIES if self.supports(c))

    def _require(self, capability: type[Capability]) -> None:
        if self.supports(capability):
            return
        why = ""
        if isinstance(self, capability) and self.preprocess.density == "bound":
            why = " (the data are counted and dequantised, so the density is a lower bound: ask bound)"
        elif isinstance(self, capability) and self.event.counted:
            why = " (counted data have no gradient)"
        raise CapabilityError(
            f"{self.name()} on {self.event} does not answer {capability.asks}{why}; "
            f"it answers: {', '.join(sorted(self.capabilities))}"
        )

    @final
    def summary(self) -> Summary:
        """Its parts with their parameters, its event and units, what it answers: a table to print."""
        return summary(self)

    # -- drawing ------------------------------------------------------------------------------------------------
    @final
    def sample(
        self,
        n: int,
        *,
        context: Any = None,
        sampler: Any = None,
        init: Any = None,
        generator: Seed = None,
        batch_size: int | None = None,
    ) -> Tensor:
        """Draw n observations, detached, in data units.

        Args:
            n: how many (per context).
            context: one context (*C) or a batch (B, *C).
            sampler: a sampler, a kernel or a registered name; None for the model's own.
            init: (n, *E) starting points in data units, for samplers that start somewhere.
            generator: seed. The draw does not depend on `batch_size`, and n draws are a prefix of n + m (samplers that
                couple their chains promise the same draws for the same seed and n; weighted draws are resampled).

        Returns:
            (n, *E), or (B, n, *E) for a batch of contexts.
        """
        seed = seed_of(generator)
        draws = self.draw(n, context=context, sampler=sampler, init=init, generator=seed, batch_size=batch_size)
        if draws.log_weights is None:
            return draws.samples
        return equally_weighted(draws.samples, draws.log_weights, mix(seed, -2))

    @final
    @torch.no_grad()
    def draw(
        self,
        n: int,
        *,
        context: Any = None,
        sampler: Any = None,
        init: Any = None,
        generator: Seed = None,
        batch_size: int | None = None,
        trace: bool = False,
    ) -> Draws:
        """`sample` with the sampler's account of itself: cost, acceptance, temperature."""
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ValueError(f"expected n as a positive integer, got {n!r}")
        chosen = self.default_sampler() if sampler is None else as_sampler(sampler)
        chosen.check(self)
        contexts = self._sampling_contexts(context)
        lead, groups = ((), 1) if contexts is None else ((len(contexts),), len(contexts))
        if context is not None and self._one_context(context):
            lead = ()
        start = None if init is None else self._starts(init, n)
        total, seed = n * groups, seed_of(generator)
        size = total if chosen.coupled else batch_size or self.rows_at_once
        with drawing(self):
            parts = [
                chosen.run(
                    self,
                    min(size, total - a),
                    context=None if contexts is None else contexts[torch.arange(a, min(a + size, total)) % groups],
                    generator=Rows(seed, min(size, total - a), a, self.dtype, self.device),
                    init=None if start is None else start[torch.arange(a, min(a + size, total)) // groups],
                    trace=trace,
                )
                for a in range(0, total, size)
            ]
        draws = Draws.concatenate(parts)
        draws.samples = self._to_data(draws.samples)
        if lead:  # rows ran as (n, B), so that a longer draw starts with a shorter one
            draws.samples = draws.samples.unflatten(0, (n, groups)).transpose(0, 1)
            if draws.log_weights is not None:
                draws.log_weights = draws.log_weights.unflatten(0, (n, groups)).transpose(0, 1)
        return draws

    @final
    def sample_and_log_prob(self, n: int, *, context: Any = None, generator: Seed = None) -> tuple[Tensor, Tensor]:
        """n draws with their log density (n,), nats, data units, in one pass that carries the gradient.

        Raises:
            CapabilityError: no reparameterised draw, or the data are counted.
        """
        self._require(HasReparameterised)
        self._require(HasLogProb)
        contexts = self._sampling_contexts(context)
        if contexts is not None:
            contexts = contexts.expand(n, *contexts.shape[1:])
        rows = Rows(seed_of(generator), n, 0, self.dtype, self.device)
        u, log_prob = self._rsample_and_log_prob(n, contexts, rows)
        x = self.preprocess.to_data(u)
        _, ladj = self.preprocess.to_model(x)
        return x.to(u.dtype), log_prob + ladj

    # -- densities ----------------------------------------------------------------------------------------------
    @final
    def log_prob(self, x: Any, context: Any = None, *, batch_size: int | None = None) -> Tensor:
        """Log density or probability of x (*L, *E): (*L,) nats, data units; draws nothing.

        Raises:
            CapabilityError: no density here; for dequantised data it says to ask `bound`.
        """
        self._require(HasLogProb)
        return self._over_rows(self._log_prob_rows, x, context, batch_size)

    @final
    def bound(
        self, x: Any, context: Any = None, *, samples: int = 1, generator: Seed = None, batch_size: int | None = None
    ) -> Tensor:
        """A lower bound on log_prob: (*L,) nats, data units, averaged over `samples` draws of its noise."""
        self._require(HasBound)
        seed = seed_of(generator)

        def rows_of(x: Tensor, context: Tensor | None, start: int) -> Tensor:
            parts = [-sum(self._bound_rows(x, context, start, seed, k).values()) for k in range(samples)]
            return torch.stack(parts).mean(0)  # type: ignore[arg-type]

        return self._over_rows(rows_of, x, context, batch_size)

    @final
    def bound_terms(
        self, x: Any, context: Any = None, *, generator: Seed = None, batch_size: int | None = None
    ) -> dict[str, Tensor]:
        """The named costs (*L,) in nats whose sum is minus one draw of the bound."""
        self._require(HasBound)
        names: list[str] = []
        seed = seed_of(generator)

        def rows_of(x: Tensor, context: Tensor | None, start: int) -> Tensor:
            terms = self._bound_rows(x, context, start, seed, 0)
            names[:] = list(terms)
            return torch.stack(list(terms.values()), -1)

        values = self._over_rows(rows_of, x, context, batch_size)
        return {name: values[..., i] for i, name in enumerate(names)}

    @final
    def energy(self, x: Any, context: Any = None, *, batch_size: int | None = None) -> Tensor:
        """-log p(x) up to a constant: (*L,) nats, data units."""
        self._require(HasEnergy)
        return -self._over_rows(self._log_unnorm_rows, x, context, batch_size)

    @final
    def score(self, x: Any, context: Any = None, *, batch_size: int | None = None) -> Tensor:
        """Gradient of log p at x: (*L, *E), per data unit."""
        self._require(HasScore)

        def rows_of(x: Tensor, context: Tensor | None, start: int) -> Tensor:
            if self._has_gaps(x):
                raise ValueError("expected x without NaN for a score, got gaps; complete the rows first")
            keep = x.requires_grad
            with torch.enable_grad():
                point = x if keep else x.detach().requires_grad_()
                u, ladj = self._to_model(point)
                inner = self._score(u, context)
                seeds = [inner.to(u.dtype)] + ([torch.ones_like(ladj)] if ladj.requires_grad else [])
                outputs = [u] + ([ladj] if ladj.requires_grad else [])
                (score,) = torch.autograd.grad(outputs, point, seeds, create_graph=keep)
            return score

        return self._over_rows(rows_of, x, context, batch_size)

    # -- latents ------------------------------------------------------------------------------------------------
    @final
    def encode(self, x: Any, context: Any = None, *, batch_size: int | None = None) -> Tensor:
        """The latent of x: (*L, *E) -> (*L, *Z); counted data are taken at the centre of their cell."""
        self._require(HasLatent)
        return self._over_rows(lambda x, c, _: self._encode(self._to_model(x)[0], c), x, context, batch_size)

    @final
    def decode(self, z: Any, context: Any = None, *, batch_size: int | None = None) -> Tensor:
        """The observation of a latent: (*L, *Z) -> (*L, *E), data units."""
        self._require(HasDecoder)
        event: Event = self.latent_event

        def rows_of(z: Tensor, context: Tensor | None, start: int) -> Tensor:
            return self._to_data(self._decode(z.to(self.dtype), context))

        return self._over_rows(rows_of, z, context, batch_size, event)

    # -- subsets ------------------------------------------------------------------------------------------------
    @final
    def log_marginal(self, x: Any, observed: Any, context: Any = None, *, batch_size: int | None = None) -> Tensor:
        """Log density of the observed entries alone: (*L,) nats, data units.

        Args:
            observed: boolean mask (*E) or (*L, *E); the other entries of x are ignored and may be NaN.
        """
        self._require(HasMarginal)
        return self._over_rows(
            lambda x, c, start: self._log_marginal_rows(x, self._mask_rows(observed, x, start), c),
            x,
            context,
            batch_size,
            missing=True,
        )

    @final
    def complete(self, x: Any, observed: Any, n: int, *, context: Any = None, generator: Seed = None) -> Tensor:
        """Draw the unobserved entries given the observed: (B, *E) -> (B, n, *E), data units."""
        self._require(HasConditional)
        x = self._checked(x, missing=True)
        flat = x.reshape(-1, *self.event.shape)
        mask = self._mask_rows(observed, flat, 0)
        context_rows = self._context_rows(context, (len(flat),))
        seed, total, parts = seed_of(generator), n * len(flat), []
        with torch.no_grad():
            u, _ = self._to_model(torch.where(mask, flat, self._filler(flat)))
            for a in range(0, total, self.rows_at_once):
                row = torch.arange(a, min(a + self.rows_at_once, total), device=u.device) % len(flat)
                rows = Rows(seed, len(row), a, self.dtype, self.device)
                given = None if context_rows is None else context_rows[row]
                parts.append(self._to_data(self._complete(u[row], mask[row], given, rows)))
        completed = torch.cat(parts).unflatten(0, (n, len(flat))).transpose(0, 1)
        return torch.where(mask.unsqueeze(1), flat.unsqueeze(1).to(completed.dtype), completed)

    @final
    def conditional(self, x: Any, observed: Any, context: Any = None) -> "Conditional":
        """The law of the unobserved entries given the observed ones of one row x (*E)."""
        self._require(HasConditional)
        x = self._checked(x, missing=True)
        mask = Event(self.event.shape).check(observed, "observed").bool().to(x.device)
        if x.ndim != len(self.event.shape) or mask.shape != x.shape:
            raise ValueError(f"expected one row and its mask, got {tuple(x.shape)} and {tuple(mask.shape)}")
        return Conditional(self, x, mask, context)

    # -- noise levels (model units) -----------------------------------------------------------------------------
    @final
    def denoise(self, u: Tensor, t: Tensor | float, context: Any = None) -> Tensor:
        """E[u0 | ut = u] at noise level t in [0, 1], in MODEL units (an average does not commute with a logit)."""
        self._require(HasDenoiser)
        return self._denoise(u, self._level(t, u), self._context_rows(context, (len(u),)))

    @final
    def score_at(self, u: Tensor, t: Tensor | float, context: Any = None) -> Tensor:
        """Gradient of log p_t at u, noise level t in [0, 1], in MODEL units."""
        self._require(HasDenoiser)
        return self._score_at(u, self._level(t, u), self._context_rows(context, (len(u),)))

    # -- fit, save, load (the named exceptions to the layers: they reach upward, lazily) ----------------------------
    @final
    def fit(self, x: Any, **options: Any) -> "Model":
        """Train this instance on x; options as in `fairway.fit`. Returns itself, in eval mode."""
        from fairway.training.fit import fit

        return fit(self, x, **options)

    @final
    def save(self, folder: Any) -> None:
        """Write config.json and weights.safetensors to a run folder."""
        from fairway.training.run_folder import save

        save(self, folder)

    @classmethod
    @final
    def load(cls, folder: Any, **external: Any) -> "Model":
        """Read a run folder written by `save` or `fit(out=...)`; your own modules by keyword."""
        from fairway.training.run_folder import load

        return load(folder, **external)

    # -- questions row by row: x (B, *E) data units, context embedded, start = index of the first row --------------
    def _log_prob_rows(self, x: Tensor, context: Tensor | None, start: int) -> Tensor:
        if self._has_gaps(x):
            return self._log_marginal_rows(x, ~torch.isnan(x), context)
        u, ladj = self._to_model(x)
        return self._log_prob(u, context) + ladj

    def _has_gaps(self, x: Tensor) -> bool:
        return self.event.missing and x.is_floating_point() and bool(torch.isnan(x).any())

    def _log_unnorm_rows(self, x: Tensor, context: Tensor | None, start: int) -> Tensor:
        if self._has_gaps(x):
            return self._log_marginal_rows(x, ~torch.isnan(x), context)
        u, ladj = self._to_model(x)
        return self._log_unnorm(u, context) + ladj

    def _bound_rows(self, x: Tensor, context: Tensor | None, start: int, seed: int, draw: int) -> dict[str, Tensor]:
        """Costs in nats, data units; the log-determinant of the units is a term of its own where it is not zero."""
        rows = Rows(seed, len(x), start, self.dtype, self.device).spawn(draw)
        observed = ~torch.isnan(x) if self._has_gaps(x) else None
        x = x if observed is None else torch.where(observed, x, self._filler(x))
        u, ladj = self._to_model(x, rows.spawn(0) if self.preprocess.random else None)
        if observed is not None:
            return {"log_prob": -self._log_marginal(u, observed, context), "units": -self._entry_ladj(x, observed)}
        if isinstance(self, HasBound):
            return {**self._bound_terms(u, context, rows), "units": -ladj}
        return {"log_prob": -self._log_prob_drawn(u, context, rows.spawn(1)), "units": -ladj}

    def _log_prob_drawn(self, u: Tensor, context: Tensor | None, rows: Rows) -> Tensor:
        """log p(u) (B,); an estimate takes its probes from these rows, so that its error is in the spread of draws."""
        estimate = getattr(self, "_log_prob_estimate", None) if self.likelihood == "estimate" else None
        value: Tensor = self._log_prob(u, context) if estimate is None else estimate(u, context, rows)
        return value

    def _log_marginal_rows(self, x: Tensor, observed: Tensor, context: Tensor | None) -> Tensor:
        """x and observed (B, *E); what x holds where it is not observed is ignored."""
        x = torch.where(observed, x, self._filler(x))
        u, _ = self._to_model(x)
        return self._log_marginal(u, observed, context) + self._entry_ladj(x, observed)

    def _level(self, t: Tensor | float, u: Tensor) -> Tensor:
        """A user's t as (B,) in the dtype of u."""
        return noise_level(t, u)
