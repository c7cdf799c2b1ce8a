"""An energy-based model: any scalar function is a density, up to a constant nobody knows.

    log p(u) = f(u) + log q(u) - log Z,   Z = E_q[exp f(u)],   q: N(0, I), a mixture of Gaussians, or a flow

f: (B, D) -> (B,) is a network, so p tilts the reference q towards the data; energy = -log p + const, nats. The score
grad f(u) + grad log q(u) needs no Z, and Langevin chains need nothing else; the Metropolis test makes them exact at
temperature 1. A reference other than N(0, I) is a model of its own, learned first (`stages`) and then left alone: what
it gets wrong is all that f has to say.

A chain takes long to find its way from q to the data, so the chains that trained f (`objectives.persistent`) are kept:
`chains` (K, *U) is a buffer, saved with the weights, and row i of a draw goes on from a chain of its own. They started
at q too, none at data; a model without chains starts there, and `sample(n, init=..., sampler=...)` anywhere. Data are
standardised (counted data dequantised without a logit: Langevin dynamics wants bounded curvature).
Source: Du & Mordatch 2019, Implicit Generation and Modeling with Energy-Based Models; the Gaussian reference is the
exponential tilting of Nijkamp et al. 2019, section 3.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fairway.core.capability import HasEnergy, HasLogProb, HasSample
from fairway.core.config import lookup
from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.numerics import standard_normal_log_prob
from fairway.core.objective import Objective, Solver, Stage
from fairway.core.preprocessing import Preprocessing, continuous, dequantised
from fairway.core.random import Rows
from fairway.core.sampler import Sampler
from fairway.models.energy.chains import KeepsChains
from fairway.networks.dcgan import ConvCritic, halvings
from fairway.networks.fourier import FourierMLP
from fairway.networks.joined import joined, width
from fairway.networks.mlp import MLP
from fairway.networks.pullback import value_and_slope
from fairway.objectives.persistent import PersistentContrastiveDivergence
from fairway.objectives.reference import ReferenceObjective, ReferenceSolver
from fairway.samplers.driver import Fixed, advance
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC, frozen
from fairway.samplers.target import Reference, Target

TINY = {"hidden": (16, 16), "chain_steps": 20}
CHANNELS = (32, 64, 128, 256)  # of convolutions, from the largest picture on
FEW = 4  # dimensions in which waves help a perceptron
FRESH, MOVES = 64, 20  # chains, and their moves, that the log is told of
REFERENCE_STEPS = 2000  # of a reference that learns by gradients


class EBM(KeepsChains, HasEnergy, Model):
    """exp(f(u)) q(u) / Z with a perceptron f, on random waves in up to four dimensions; images take convolutions.

    Args:
        event, context_event: what is modelled, and given what (labels or numbers).
        hidden: widths of the default perceptron.
        chain_steps: Langevin moves of a draw.
        reference: q, None for N(0, I); or the name of a model with a density and direct draws ("gmm", "nsf"), or one
            built on the event in model units. It knows nothing of the context.
        network: your own module (B, D) -> (B, 1) in place of the default; it sees the context beside the point.

    Raises:
        ValueError: a reference that cannot be drawn from, has no density, or is of another event.
    """

    accepts: ClassVar[tuple[str, ...]] = ("real", "bounded", "positive", "integer", "binary")
    accepts_context: ClassVar[tuple[str, ...]] = ("category", "real")
    cites: ClassVar[tuple[str, ...]] = ("du2019ebm", "tieleman2008persistent", "gutmann2012nce")
    tiny = [
        Case(Event((2,)), None, TINY),
        Case(Event((2, 2), "integer", low=0, high=3), Event((), "category", levels=3), TINY),
        Case(Event((1, 2, 2), "bounded", low=0.0, high=1.0), Event((2,)), TINY),
        Case(Event((3,)), None, {**TINY, "reference": "gmm"}),
        Case(Event((8, 8), "integer", low=0, high=16), Event((), "category", levels=3), TINY),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        hidden: Sequence[int] = (128, 128),
        chain_steps: int = 200,
        reference: str | Model | None = None,
        network: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event)
        self.chain_steps = chain_steps
        given = None if self.context_preprocess is None else self.context_preprocess.model_event
        self.network = network or _default_network(self.model_event, width(given), hidden)
        self.reference = _reference(reference, self.model_event)
        self._register_chains(self.model_event.shape, width(given), step_size=0.05)

    def preprocessing(self, event: Event) -> Preprocessing:
        return dequantised(event) if event.counted else continuous(event)

    def _tilt(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """f(u) (B,): log p - log q + log Z.

        Raises:
            ValueError: a network whose output is not one number a row.
        """
        pictures = isinstance(self.network, ConvCritic)
        f: Tensor = self.network(u, context) if pictures else self.network(joined(u, context))
        if f.numel() != len(u):
            raise ValueError(f"expected a network (B, {joined(u, context).shape[1]}) -> (B, 1), got {tuple(f.shape)}")
        return f.reshape(len(u))

    def _log_unnorm(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self._tilt(u, context) + self._log_reference(u)

    def _value_and_score(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor] | None:
        """log p(u) + log Z (B,) and its gradient (B, *U), detached, without a graph; None where that is not known."""
        if self.reference is not None:
            return None
        found = value_and_slope(self.network, joined(u, context))
        if found is None:
            return None
        value, slope = found
        return value + standard_normal_log_prob(u), slope[:, : u[0].numel()].reshape(u.shape) - u

    def _log_reference(self, u: Tensor) -> Tensor:
        """log q(u) (B,)."""
        if self.reference is None:
            return standard_normal_log_prob(u)
        log_q: Tensor = self.reference._log_prob(u, None)
        return log_q

    def _births(self, rows: Rows) -> Tensor:
        """Draws of q, one per row."""
        if self.reference is None:
            return rows.normal(*self.chains.shape[1:])
        draws: Tensor = self.reference._sample(rows.n, None, rows)
        return draws

    @property
    def annealed_from(self) -> Any:
        """q, as paths of temperatures want it."""
        return Reference() if self.reference is None else ModelReference(self)

    def health(self) -> dict[str, float]:
        """Mean energies of the chains kept and of chains that left the reference just now, which should come together;
        in two dimensions log Z on a grid."""
        if not len(self.chains) or self.contexts.shape[1]:
            return {}
        rows = Rows(0, FRESH, 0, self.dtype, self.device)
        kernel = Langevin(float(self.step_size), metropolis=True)
        target = Target.of(self)
        with frozen(self), torch.no_grad():
            state, _ = advance(kernel, target, kernel.init(target, self._births(rows.spawn(0))), rows.spawn(1), MOVES)
            found = {"energy_kept": -target.value(self.chains[:FRESH]), "energy_fresh": -state.value}
        numbers = {name: float(value.mean()) for name, value in found.items()}
        return numbers | ({"log_Z": _coarse_log_Z(self)} if self.model_event.dims == 2 else {})

    def stages(self, objective: Objective | Solver | None = None) -> list[Stage]:
        learner = objective or self.default_objective()
        if self.reference is None:
            return super().stages(learner)
        own = self.reference.default_objective()
        first = Stage("reference", self.reference, ReferenceSolver(own) if isinstance(own, Solver) else _of(own))
        first.steps = None if isinstance(own, Solver) else REFERENCE_STEPS
        return [first, Stage("fit", self.network, learner)]

    def default_objective(self) -> Objective:
        return PersistentContrastiveDivergence()

    def default_sampler(self) -> Sampler:
        kernel = Langevin(float(self.step_size), metropolis=True)
        return MCMC(kernel, Fixed(self.chain_steps, warmup=0 if len(self.chains) else self.chain_steps))


class ModelReference:
    """The reference of a model as samplers ask for it: q's draws, density and score."""

    def __init__(self, model: EBM) -> None:
        self.model = model

    def sample(self, rows: Rows, shape: tuple[int, ...]) -> Tensor:
        """One draw per row, (B, *U)."""
        with torch.no_grad():
            return self.model._births(rows)

    def log_prob(self, u: Tensor) -> Tensor:
        """(B,) nats."""
        with torch.no_grad():
            return self.model._log_reference(u)

    def score(self, u: Tensor) -> Tensor:
        """(B, *U)."""
        assert self.model.reference is not None
        score: Tensor = self.model.reference._score(u, None)
        return score.detach()


@torch.no_grad()
def _coarse_log_Z(model: EBM) -> float:
    """log Z in two dimensions by a grid of 81 x 81 points: for the log; `metrics.log_normaliser` has the exact one."""
    axis = torch.linspace(-6, 6, 81, dtype=model.dtype, device=model.device)
    points = torch.cartesian_prod(axis, axis).reshape(-1, *model.chains.shape[1:])
    return float(model._log_unnorm(points).double().logsumexp(0)) + 2 * math.log(12 / 80)


def _default_network(event: Event, context: int, hidden: Sequence[int]) -> nn.Module:
    """Convolutions on images whose sides can be halved, waves in a few dimensions, a perceptron elsewhere."""
    inputs, times = event.dims + context, halvings(event)
    if times:
        return ConvCritic(event.shape, context, CHANNELS[:times])
    return perceptron(inputs, 1, hidden)


def perceptron(inputs: int, outputs: int, hidden: Sequence[int]) -> nn.Module:
    """(B, inputs) -> (B, outputs), on random waves where there are few inputs."""
    return FourierMLP(inputs, outputs, hidden) if inputs <= FEW else MLP(inputs, outputs, hidden, residual=True)


def _of(objective: Objective | Solver) -> ReferenceObjective:
    assert isinstance(objective, Objective)
    return ReferenceObjective(objective)


def _reference(reference: str | Model | None, event: Event) -> Model | None:
    """The reference as a model of rows in model units."""
    if reference is None:
        return None
    built: Model = lookup("model", reference)(event) if isinstance(reference, str) else reference
    if not (isinstance(built, HasLogProb) and isinstance(built, HasSample)):
        raise ValueError(f"expected a reference with a density and direct draws (gmm, nsf), got {built.name()}")
    if tuple(built.model_event.shape) != tuple(event.shape):
        raise ValueError(f"expected a reference on {event}, the event in model units, got one on {built.event}")
    return built
