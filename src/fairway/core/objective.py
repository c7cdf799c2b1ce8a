"""How a model learns: objectives (a loss per phase), solvers (start, step, done) and stages.

An `Objective` owns whatever it needs besides the model (critics, teachers, replay buffers: all memory is a buffer, so
that it is saved and resumed), and lists the `Phase`s of one step: which player moves, how often. Losses are in nats
per entry, so that a learning rate and a clip mean the same on 2 and on 3,072 dimensions.

    gradient descent      phases -> Step(model, objective)(batch, phase) -> Loss -> the player's optimiser
    closed-form learning  solver.start(model, data); until solver.done(): solver.step(model, data)
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from fairway.core.capability import Capability, require
from fairway.core.config import Configurable
from fairway.core.random import Rows, seeded


@dataclass(frozen=True)
class Batch:
    """Rows in model units: u (B, *U); context (B, ...) embedded; weight (B,); observed and mask (B, *U) booleans.

    Where processes share a batch, `total` is the weight of all its rows over the number of processes: a mean of such
    means over the processes is the mean over the batch.
    """

    u: Tensor
    context: Tensor | None = None
    weight: Tensor | None = None
    observed: Tensor | None = None
    mask: Tensor | None = None
    total: Tensor | None = None

    def __len__(self) -> int:
        return len(self.u)

    def with_context(self, context: Tensor | None) -> "Batch":
        """The same rows under another (embedded) context."""
        return replace(self, context=context)

    def mean(self, per_row: Tensor) -> Tensor:
        """Weighted mean over rows."""
        if self.weight is None:
            return per_row.mean()
        return (per_row * self.weight).sum() / (self.weight.sum() if self.total is None else self.total)


class Loss(NamedTuple):
    """What a phase minimises (a scalar, nats per entry), with named parts for the log.

    A tuple, so that wrappers around a `Step` (compilers, parallel engines) find the tensors in it.
    """

    total: Tensor
    terms: dict[str, Tensor] = {}  # never changed in place


@dataclass(frozen=True)
class Phase:
    """One player's move within a step.

    Args:
        player: whose parameters move (a key of `Objective.players`).
        times: how often per step; every repeat takes a fresh batch.
        every: only in every k-th step.
        before, after: called with the model around the phase.
    """

    player: str = "model"
    times: int = 1
    every: int = 1
    before: Callable[[Any], None] | None = None
    after: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class Optimisation:
    """How a player's optimiser moves unless the user says otherwise.

    Args:
        lr: peak learning rate.
        betas: Adam's averaging coefficients.
        weight_decay: decoupled (AdamW).
        clip: largest gradient norm, None for no clipping.
        schedule: "cosine" (to 0, after the warm-up) or "constant".
        ema: averaging coefficient of the weights that are evaluated; 0 for none.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float | None = 1.0
    schedule: str = "cosine"
    ema: float = 0.0


class Objective(Configurable, nn.Module, ABC):
    """A loss, and what it needs.

    Class attributes:
        requires: capabilities the model must have, in model units.
        monitor: a metric's registry name, looked up on held-out rows to stop early and keep the best ("loss": this
            objective's own loss); None to train to the end.
        watched: a metric's registry name that the log is told of, on training rows, about as often as a monitor is
            asked; it decides nothing.
        shown_in_progress: numbers of the log that are shown beside the loss.
        stops_early: whether a monitor that no longer improves ends the run; otherwise it picks the best weights alone.
        rule: how the phases of a step follow each other, see `training.rules`.
        traceable: whether `loss` can be compiled: tensor operations, draws from `generator` as many at every step and
            slopes by `numerics.gradient`; no `autograd`, no chains, no decision on a tensor's value.
        matched: whether a row and its context belong together; False where `fit(paired=False)` may give two samples.
    """

    role: ClassVar[str] = "objective"
    requires: ClassVar[tuple[type[Capability], ...]] = ()
    monitor: ClassVar[str | None] = "loss"
    watched: ClassVar[str | None] = None
    shown_in_progress: ClassVar[tuple[str, ...]] = ()
    stops_early: ClassVar[bool] = True
    rule: str = "alternating"
    optimisation: ClassVar[Optimisation] = Optimisation()
    batch_size: ClassVar[int] = 128
    traceable: ClassVar[bool] = True
    matched: ClassVar[bool] = True

    def setup(self, model: Any) -> None:
        """Build critics and buffers for this model, once, under the seeded generator."""

    def start(self, model: Any, u: Tensor) -> None:
        """See (a few thousand of) the training rows in model units before the first step: fill buffers, say. A model
        whose parts start from data (`_start(u)`: a flow's ActNorm, measured statistics) is shown them."""
        hook = getattr(model, "_start", None)
        if hook is not None:
            hook(u)

    def reach(self, share: float) -> None:
        """Be told, before each step, what share of the run's steps is behind it; not told while that is unknown."""

    def phases(self, model: Any) -> Sequence[Phase]:
        """The moves of one step, in order."""
        return (Phase(),)

    def players(self, model: Any) -> dict[str, nn.Module]:
        """The networks that move, by player."""
        return {"model": model}

    def batch_size_of(self, model: Any) -> int:
        """Rows of a batch unless the user says otherwise."""
        return self.batch_size

    def steps_of(self, model: Any) -> int | None:
        """Steps of a fit for which neither steps nor a budget were asked; None for the usual number."""
        return None

    def optimisation_of(self, player: str) -> Optimisation:
        """The optimiser's defaults for a player."""
        return self.optimisation

    @abstractmethod
    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        """The loss of a phase on a batch; all noise from `generator` (one stream of as many rows as the batch)."""

    def diagnose(self, means: dict[str, float]) -> str | None:
        """What is wrong with a run whose numbers had these means since the last row of the log, and what to change."""
        return None

    def lost(self, means: dict[str, float]) -> str | None:
        """Why a run whose numbers had these means is beyond help although all are finite: the name of a term first,
        then what to change.

        Such a run goes back to the last good state and stops.
        """
        return None

    def check(self, model: Any) -> None:
        """Whether the model has what this objective requires.

        Raises:
            CapabilityError: names what is missing.
        """
        require(model, self.requires, f"the objective {self.name()}")


class Solver(Configurable, nn.Module, ABC):
    """Learning without gradients: counting, EM, SVD. State lives in buffers, so it logs, stops and resumes.

    Args (by convention of subclasses):
        iterations: the limit.
    """

    role: ClassVar[str] = "objective"
    requires: ClassVar[tuple[type[Capability], ...]] = ()
    monitor: ClassVar[str | None] = None

    @abstractmethod
    def start(self, model: Any, data: Batch, rows: Rows) -> None:
        """Initialise from all training rows."""

    @abstractmethod
    def step(self, model: Any, data: Batch) -> dict[str, float]:
        """One iteration over all rows; returns what to log ("loss" among it)."""

    @abstractmethod
    def done(self) -> bool:
        """Whether another step would change nothing."""


@dataclass
class Stage:
    """One part of a training run.

    Args:
        name: for logs and checkpoints.
        part: what learns: the model, or a network inside it (an objective then moves that network alone).
        learner: an objective or a solver.
        data: a map of the rows in model units, applied without gradient (None: the rows themselves).
        steps: limit of this stage (None: the fit's).
    """

    name: str
    part: nn.Module
    learner: Objective | Solver
    data: Callable[[Tensor], Tensor] | None = None
    steps: int | None = None


class Step(nn.Module):
    """Model and objective as one module whose forward is the loss: what parallel wrappers wrap."""

    def __init__(self, model: Any, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch: Batch, phase: Phase, generator: Rows) -> Loss:
        """The loss of a phase; the context is embedded here, so that its network learns too."""
        if batch.context is not None:
            batch = batch.with_context(self.model.embed(batch.context))
        return self.objective.loss(batch, self.model, phase=phase, generator=generator)

    def rehearse(self, batch: Batch, phase: Phase, generator: Rows) -> Loss:
        """A loss that leaves no trace in buffers or in torch's own generators: to see what it draws, or depends on."""
        buffers = {name: buffer.clone() for name, buffer in self.named_buffers()}
        with seeded(0):
            loss: Loss = torch.func.functional_call(self, buffers, (batch, phase, generator))
        return loss


def merged_terms(terms: dict[str, Tensor]) -> Tensor:
    """The named scalars as one tensor on the device: one host sync for all of them."""
    return torch.stack([value.detach().float().reshape(()) for value in terms.values()])
