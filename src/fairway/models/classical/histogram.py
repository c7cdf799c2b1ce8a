"""Counting: the share of each level of each entry, entries independent.

    p(x) = prod_i (n_i[x_i] + a) / (n + a K)

the smoothed (Laplace) estimate: with a = 1 the posterior mean under a uniform prior on the K levels. It knows every
marginal and no dependence, which is what any model of dependence must beat.
"""

from typing import Any

import torch
from torch import Tensor, nn

from fairway.core import parallel
from fairway.core.capability import HasConditional, HasLogProb, HasSample
from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.objective import Batch, Solver
from fairway.core.preprocessing import Preprocessing, countable
from fairway.core.random import Rows
from fairway.objectives.counts import Counts


class Independent(HasLogProb, HasSample, HasConditional, Model):
    """Independent levels per entry.

    Raises:
        ValueError: an event whose number of levels is not known.

    >>> Independent(Event((2,), "binary")).sample(5, generator=0).shape
    torch.Size([5, 2])
    """

    accepts = ("integer", "binary", "category", "tokens")
    cites = ("bishop2006prml",)
    tiny = [Case(Event((2,), "category", levels=3)), Case(Event((2, 2), "integer", low=-1, high=1))]

    def __init__(self, event: Event, context_event: Event | None = None) -> None:
        super().__init__(event, context_event)
        if event.levels is None:
            raise ValueError(f"independent counts levels: expected an event with levels, got {event}")
        self.logits = nn.Parameter(torch.zeros(event.dims, event.levels))

    def preprocessing(self, event: Event) -> Preprocessing:
        return countable(event)

    def default_objective(self) -> Solver:
        return Counts()

    @property
    def strokes(self) -> float:
        """No network at all."""
        return 0.0

    @torch.no_grad()
    def count(self, data: Batch, smoothing: float) -> None:
        """Set the shares from rows: (n_i[x] + a) / (n + a K), weighted rows counting by their weight.

        Where processes share the rows, each gives its own and the counts are those of all.
        """
        level = data.u.flatten(1).long()
        weight = torch.ones(len(level), device=level.device) if data.weight is None else data.weight
        seen = torch.ones_like(level, dtype=torch.bool) if data.observed is None else data.observed.flatten(1)
        counts = torch.zeros(self.logits.shape, dtype=torch.float64, device=level.device)
        counts.scatter_add_(1, level.T, (weight.unsqueeze(1) * seen).T.double())
        counts = parallel.total(counts) + smoothing
        self.logits.copy_((counts / counts.sum(1, keepdim=True)).log())

    def _entries(self, u: Tensor) -> Tensor:
        """(B, D) log probability of each entry."""
        return self.logits.log_softmax(1).gather(1, u.flatten(1).long().T).T

    def _log_prob(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self._entries(u).sum(1)

    def _draw(self, rows: Rows) -> Tensor:
        cumulative = self.logits.softmax(1).cumsum(1)
        above = rows.uniform(self.event.dims).unsqueeze(2) * cumulative[:, -1:] > cumulative
        return above.sum(2).clamp(max=self.logits.shape[1] - 1)

    def _sample(self, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        return self._draw(rows).reshape(n, *self.event.shape)  # type: ignore[arg-type]

    def _log_marginal(self, u: Tensor, observed: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.where(observed.flatten(1), self._entries(u), 0.0).sum(1)

    def _complete(self, u: Tensor, observed: Tensor, context: Any, rows: Rows) -> Tensor:
        return torch.where(observed, u, self._draw(rows).reshape(u.shape))
