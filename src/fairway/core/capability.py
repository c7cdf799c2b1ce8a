"""What a model can be asked: small abstract classes, each with one or two underscored hooks.

    HasScore(_score)  <  HasEnergy(_log_unnorm)  <  HasLogProb(_log_prob)

On continuous model units a normalised density IS an energy (log Z = 0), and an energy HAS a score (its gradient), so
the ladder carries the mathematics and each rung derives the hook below it. A velocity gives a density by the
probability-flow ODE; a denoiser gives a velocity and a score (Tweedie). Hooks work in model units, on one flat batch
axis; `Model` checks shapes, converts units and decides whether the answer is valid in data units (`supports`).

Shapes: u (B, *U) model units, context (B, ...) embedded, rows a `core.random.Rows` of B rows, results (B,) in nats.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from fairway.core.event import Event
from fairway.core.ode import grid, integrate_with_ladj
from fairway.core.random import Rows


class Capability(ABC):  # noqa: B024
    """A question a model answers; `asks` is how messages and the command line call it."""

    asks: ClassVar[str] = ""
    hooks: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:  # what a model has besides its capabilities

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(cls, asks: str | None = None, hooks: tuple[str, ...] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if asks is not None and hooks is not None:
            cls.asks, cls.hooks = asks, hooks


class HasSample(Capability, asks="sample", hooks=("_sample",)):
    """Draws directly, without a sampler."""

    @abstractmethod
    def _sample(self, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        """(n, *U) draws; all noise from `rows`."""


class HasScore(Capability, asks="score", hooks=("_score",)):
    """Gradient of the log density."""

    @abstractmethod
    def _score(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, *U): gradient of log p at u."""


class HasEnergy(HasScore, asks="energy", hooks=("_log_unnorm",)):
    """Log density up to a constant; the score is its gradient."""

    @abstractmethod
    def _log_unnorm(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """(B,): log p(u) + log Z, the negative energy."""

    def _score(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        keep = torch.is_grad_enabled() and u.requires_grad
        with torch.enable_grad():
            point = u if u.requires_grad else u.detach().requires_grad_()
            (score,) = torch.autograd.grad(self._log_unnorm(point, context).sum(), point, create_graph=keep)
        return score


class HasLogProb(HasEnergy, asks="log_prob", hooks=("_log_prob",)):
    """A normalised density or probability."""

    @abstractmethod
    def _log_prob(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """(B,): log p(u), nats, model units."""

    def _log_unnorm(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self._log_prob(u, context)


class HasReparameterised(Capability, asks="sample_and_log_prob", hooks=("_rsample_and_log_prob",)):
    """Draws that carry the gradient, with their log density in the same pass."""

    @abstractmethod
    def _rsample_and_log_prob(self, n: int, context: Tensor | None, rows: Rows) -> tuple[Tensor, Tensor]:
        """u (n, *U) and log p(u) (n,), differentiable in the parameters."""


class HasTemperature(Capability, asks="temperature", hooks=("_sample_at",)):
    """Draws that are more (below 1) or less (above 1) typical than the model's own."""

    @abstractmethod
    def _sample_at(self, n: int, context: Tensor | None, rows: Rows, temperature: float) -> Tensor:
        """(n, *U): draws at a temperature; at 1 they are the model's."""


class HasGuidance(Capability, asks="guidance", hooks=("_sample_guided",)):
    """Draws that follow their context more (above 1) or less (below 1) than the model's own."""

    @abstractmethod
    def _sample_guided(self, n: int, context: Tensor | None, rows: Rows, scale: float) -> Tensor:
        """(n, *U): draws at a guidance scale; at 1 they are the model's, at 0 they ignore the context."""


class HasPath(Capability, asks="path", hooks=("_log_prob_and_path",)):
    """A density by a path from data to noise, with what the path costs."""

    @abstractmethod
    def _log_prob_and_path(self, u: Tensor, context: Tensor | None, rows: Rows) -> tuple[Tensor, dict[str, Tensor]]:
        """log p(u) (B,), nats, and costs by name (B,); the noise of an estimate comes from `rows`."""


class HasBound(Capability, asks="bound", hooks=("_bound_terms",)):
    """A lower bound on the log density, as named costs."""

    @abstractmethod
    def _bound_terms(self, u: Tensor, context: Tensor | None, rows: Rows) -> dict[str, Tensor]:
        """Costs (B,) in nats, whose sum is minus the bound (reconstruction, kl, ...)."""


class HasDecoder(Capability, asks="decode", hooks=("_decode", "latent_event")):
    """A map from a latent to an observation."""

    @property
    @abstractmethod
    def latent_event(self) -> Event:
        """The event of the latent."""

    @abstractmethod
    def _decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, *Z) -> (B, *U)."""


class HasJoint(Capability, asks="log_joint", hooks=("_log_joint", "latent_event")):
    """The joint density of an observation and its latent, which is the posterior of the latent up to a constant."""

    @property
    @abstractmethod
    def latent_event(self) -> Event:
        """The event of the latent."""

    @abstractmethod
    def _log_joint(self, u: Tensor, z: Tensor, context: Tensor | None = None) -> Tensor:
        """(B,): log p(u | z) + log p(z), nats, model units."""


class HasLatent(HasDecoder, asks="encode", hooks=("_encode",)):
    """A map from an observation to its latent, too."""

    @abstractmethod
    def _encode(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, *U) -> (B, *Z)."""


class HasVelocity(HasLogProb, asks="velocity", hooks=("_velocity",)):
    """A velocity field that carries noise (t = 1) to data (t = 0): du/dt = v(u, t); the density follows by its ODE.

    log p(u) = log N(u(1); 0, I) + integral over t from 0 to 1 of tr(dv/du), numerically (30 Runge-Kutta steps).
    """

    density_steps: ClassVar[int] = 30
    least_density_steps: ClassVar[int] = 4  # with which the contract can still tell right from wrong

    @abstractmethod
    def _velocity(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, *U): velocity at u (B, *U) and t (B,)."""

    @abstractmethod
    def _log_prior(self, u: Tensor) -> Tensor:
        """(B,): log density of the law at t = 1."""

    def _prior(self, rows: Rows) -> Tensor:
        """(B, *U): draws from the law at t = 1, N(0, I) unless `_log_prior` says otherwise."""
        return rows.normal(*self.model_event.shape)

    def _log_prob(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return HasVelocity._log_prob_estimate(self, u, context, None)

    def _log_prob_estimate(self, u: Tensor, context: Tensor | None, rows: Rows | None) -> Tensor:
        """(B,): log p(u); beyond 16 entries an estimate, of that mean over `rows`, or by fixed probes for None."""

        def field(value: Tensor, t: Tensor) -> Tensor:
            return self._velocity(value, t.expand(len(value)), context)

        end, ladj = integrate_with_ladj(field, u, grid(0.0, 1.0, self.density_steps, u), rows=rows)
        return self._log_prior(end) + ladj


class HasDenoiser(HasVelocity, asks="denoise", hooks=("_denoise",)):
    """An estimate of the data from its noisy version, E[u0 | ut], at every noise level t."""

    schedule: Any  # t -> (alpha, sigma), see models.diffusion.schedule

    @abstractmethod
    def _denoise(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, *U): E[u0 | ut = u] at t (B,)."""

    @abstractmethod
    def _score_at(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, *U): gradient of log p_t at u."""


class HasFlowMap(Capability, asks="jump", hooks=("_jump",)):
    """A jump along the flow from t to s in one evaluation (consistency models, mean flow)."""

    @abstractmethod
    def _jump(self, u: Tensor, t: Tensor, s: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, *U): the point at s on the flow line through u at t."""


class HasDiscreteDenoiser(Capability, asks="logits", hooks=("_logits",)):
    """Logits of the clean levels from corrupted ones."""

    @abstractmethod
    def _logits(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, *U, levels)."""


class HasMarginal(Capability, asks="marginal", hooks=("_log_marginal",)):
    """The density of any subset of the entries."""

    @abstractmethod
    def _log_marginal(self, u: Tensor, observed: Tensor, context: Tensor | None = None) -> Tensor:
        """(B,): log p of the entries where observed (B, *U) is true; the others are ignored."""


class HasConditional(HasMarginal, asks="conditional", hooks=("_complete",)):
    """Exact draws of the missing entries given the observed ones."""

    @abstractmethod
    def _complete(self, u: Tensor, observed: Tensor, context: Tensor | None, rows: Rows) -> Tensor:
        """(B, *U): u with the unobserved entries drawn given the observed (one draw per row)."""


class HasGibbs(Capability, asks="gibbs", hooks=("_resample", "blocks")):
    """Blocks of entries that can be redrawn exactly given the rest."""

    @property
    @abstractmethod
    def blocks(self) -> int:
        """Number of blocks."""

    @property
    def gibbs_uniforms(self) -> tuple[int, ...] | None:
        """Shape of the uniform numbers that a round takes for each chain; None for that of u, one for each entry."""
        return None

    @abstractmethod
    def _resample(self, u: Tensor, block: int, uniforms: Tensor) -> Tensor:
        """u with one block redrawn from its conditional, using the uniforms given (those of a whole round)."""


CAPABILITIES: tuple[type[Capability], ...] = (
    HasSample, HasScore, HasEnergy, HasLogProb, HasReparameterised, HasTemperature, HasGuidance, HasPath, HasBound,
    HasDecoder, HasJoint, HasLatent, HasVelocity, HasDenoiser, HasFlowMap, HasDiscreteDenoiser, HasMarginal,
    HasConditional, HasGibbs,
)  # fmt: skip


class CapabilityError(TypeError):
    """The model cannot answer this question (here); the message says what it can."""


def require(model: Any, capabilities: Sequence[type[Capability]], asker: str) -> None:
    """Whether a model answers, in model units, what an objective or a sampler asks.

    Raises:
        CapabilityError: names the asker, what is missing and what there is.
    """
    for capability in capabilities:
        if not model.supports(capability, units="model"):
            own = sorted(c.asks for c in CAPABILITIES if model.supports(c, units="model"))
            raise CapabilityError(
                f"{asker} needs a model that answers {capability.asks!r}; {model.name()} answers: {', '.join(own)}"
            )


def refuse_two_answers(cls: type) -> None:
    """Two unrelated bases that give the same hook would make one win silently; the class must choose.

    Raises:
        TypeError: names the hook and both bases.
    """
    for hook in {hook for capability in CAPABILITIES for hook in capability.hooks}:
        if hook in cls.__dict__:
            continue
        givers = [base for base in cls.__mro__[1:] if hook in base.__dict__ and not _abstract(base, hook)]
        if givers and any(not issubclass(givers[0], other) for other in givers[1:]):
            other = next(other for other in givers[1:] if not issubclass(givers[0], other))
            raise TypeError(
                f"{cls.__name__} gets {hook} from both {givers[0].__name__} and {other.__name__}; "
                f"define {hook} in {cls.__name__} and say which"
            )


def _abstract(base: type, hook: str) -> bool:
    return bool(getattr(base.__dict__[hook], "__isabstractmethod__", False))
