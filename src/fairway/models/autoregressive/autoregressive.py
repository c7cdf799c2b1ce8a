"""Autoregressive models: the chain rule, one head per variable.

    log p(x) = sum_t log p(x_{o(t)} | x_{o(0)}, ..., x_{o(t-1)})

A model answers in two ways that must agree: `params(u)` gives the parameters of all conditionals in one pass (for
densities, in training), and `init_state` / `step` give those of the next variable, one at a time (for draws). The
`Head` turns parameters into log probabilities and uniforms into values; the `Ordering` says who comes first. Drawing
is a deterministic function of D x U uniforms, so a cached and a naive `step` draw the same rows.

Shapes: u (B, *U) model units, D = the number of variables, params (B, D, P), context (B, C) or None.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasLogProb, HasSample
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.objective import Objective
from fairway.core.preprocessing import Preprocessing, countable
from fairway.core.random import Rows
from fairway.models.autoregressive.heads import head_for
from fairway.models.autoregressive.ordering import Ordering
from fairway.objectives.mle import MLE


@dataclass
class Prefix:
    """The state of the naive `step`: the variables so far (B, D), how many are known, and the context."""

    u: Tensor
    known: int
    context: Tensor | None


class Autoregressive(HasLogProb, HasSample, Model):
    """Base of the family: write `params`, and `init_state` / `step` where one variable can cost less than a pass.

    Args:
        event, context_event: see `Model`; a context enters as one vector.
        ordering: natural, reversed, random, or the variables from first to last.
        components: of a mixture head; None for the head's own.

    Raises:
        ValueError: a variable length, whole numbers without a range, or an ordering of other variables.
    """

    accepts = ("real", "bounded", "positive", "integer", "binary", "category", "tokens")
    accepts_context = ("real", "bounded", "positive", "integer", "binary", "category", "tokens")

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        ordering: str | Sequence[int] = "natural",
        components: int | None = None,
    ) -> None:
        super().__init__(event, context_event)
        if None in event.shape:
            raise ValueError(f"{self.name()} takes events of fixed length, got {event}; pad or cut the sequences")
        if event.counted and event.levels is None:  # in model units the range would already be gone
            raise ValueError(f"{self.name()} takes whole numbers of a known range, got {event}; give low and high")
        self.dims = event.dims
        self.head = head_for(self.model_event, components)
        self.ordering = Ordering.of(ordering, self.dims)

    def default_objective(self) -> Objective:
        return MLE()

    def preprocessing(self, event: Event) -> Preprocessing:
        return countable(event)

    def _context(self, context: Tensor) -> Tensor:
        return context.reshape(len(context), -1)

    @property
    def context_dims(self) -> int:
        """Width of an embedded context, 0 for none."""
        if self.context_preprocess is None:
            return 0
        return math.prod(s or 1 for s in self.context_preprocess.model_event.shape)

    @property
    def strokes(self) -> float:
        """One step per variable."""
        return float(self.dims)

    # -- the two ways ---------------------------------------------------------------------------------------------
    @abstractmethod
    def params(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, *U) -> (B, D, P): the parameters of every conditional; row i depends on the variables before i."""

    def init_state(self, n: int, context: Tensor | None = None) -> Any:
        """Before the first variable of n rows. This one is naive: every step runs `params` on the prefix."""
        return Prefix(torch.zeros(n, self.dims, dtype=self.dtype, device=self.device), 0, context)

    def step(self, state: Any, previous: Tensor | None) -> Tensor:
        """(n, P): parameters of the next variable in the ordering; the state moves on, in place.

        Args:
            state: from `init_state`.
            previous: (n,) the value of the variable before it; None at the first.
        """
        if previous is not None:
            state.u[:, self.ordering.order[state.known - 1]] = previous
        params = self.params(state.u.reshape(-1, *self._shape), state.context)
        state.known += 1
        return params[:, self.ordering.order[state.known - 1]]

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(s or 1 for s in self.model_event.shape)

    # -- hooks ------------------------------------------------------------------------------------------------------
    def _log_prob(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self.head.log_prob(self.params(u, context), u.reshape(len(u), self.dims)).sum(1)

    def _sample(self, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        uniforms = rows.uniform(self.dims, self.head.uniforms)
        u = uniforms.new_empty(n, self.dims)
        state, previous = self.init_state(n, context), None
        for i in self.ordering.order:
            previous = self.head.sample(self.step(state, previous), uniforms[:, i])
            u[:, i] = previous
        return u.reshape(n, *self._shape)
