"""Rows of the training data by index: one permutation per epoch, known from the seed and the epoch alone.

Batch k takes positions k B, ..., (k + 1) B - 1 of the endless sequence of permutations, so that the only state of the
data order is one number, k. Of W processes that share a run each takes its part of a batch of W B rows, with the noise
that these rows have in one process:

    process r, batch k:  positions k W B + r B, ..., k W B + (r + 1) B - 1
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fairway.core.model import Model
from fairway.core.objective import Batch
from fairway.core.random import Rows, generator_for, mix

ORDER, NOISE = 1, 2  # streams of the fit's seed


@dataclass
class Table:
    """Training or held-out rows in data units: x (n, *E), context (n, *C), weight (n,).

    `map` turns model units into what a stage learns from (codes of an earlier stage, say); where model units do not
    change from batch to batch it is applied once and kept.
    """

    x: Tensor
    context: Tensor | None = None
    weight: Tensor | None = None
    map: Callable[[Tensor], Tensor] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, index: Tensor) -> "Table":
        """The rows at an index."""
        pick = [None if t is None else t[index] for t in (self.context, self.weight)]
        return replace(self, x=self.x[index], context=pick[0], weight=pick[1])


class Batches:
    """Training rows in model units, batched by index.

    Args:
        model: its fitted preprocessing turns rows into model units; random maps do so afresh at every batch.
        table: the rows.
        size: rows per batch and process (an equal share of all rows where there are fewer).
        seed: of the order and of the preprocessing's noise.
        share: this process's number and the number of processes that share each batch.

    Raises:
        ValueError: fewer rows than processes.
    """

    def __init__(self, model: Model, table: Table, size: int, seed: int, share: tuple[int, int] = (0, 1)) -> None:
        self.model, self.table, self.seed = model, table, seed
        self.rank, self.processes = share
        self.size = min(size, len(table) // self.processes)
        if not self.size:
            raise ValueError(f"expected a row for each of {self.processes} processes, got {len(table)}; start fewer")
        self.drawn = 0
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)
        self._u = None if model.preprocess.random else self._mapped(model._to_model(table.x)[0].detach())
        self._context = model.context_in_model_units(table.context)

    def next(self) -> Batch:
        """The next batch."""
        index, seed = self._index(), mix(self.seed, NOISE, self.drawn)
        self.drawn += 1
        if self.processes == 1:
            return self.take(index, seed)
        start = self.rank * self.size
        batch = self.take(index[start : start + self.size], seed, start)
        return batch if batch.weight is None else replace(batch, total=self._total(index))

    def _total(self, index: Tensor) -> Tensor:
        """The weight of the rows that the processes share, per process."""
        weight: Tensor = self.table.weight  # type: ignore[assignment]
        return weight[index.to(weight.device)].sum() / self.processes

    def all(self, limit: int | None = None) -> Batch:
        """The first rows (all by default) in their own order, with noise that never changes."""
        return self.take(torch.arange(min(limit or len(self.table), len(self.table))), mix(self.seed, NOISE, -1))

    def take(self, index: Tensor, noise_seed: int, start: int | None = None) -> Batch:
        """The rows at an index, in model units; `start` is their place in a batch that processes share."""
        index = index.to(self.table.x.device)
        observed = ~torch.isnan(self.table.x[index]) if self.model.event.missing else None
        u = self._model_units(index, noise_seed, start)
        if observed is not None and self.table.map is None:
            u = torch.where(observed, u, torch.zeros_like(u))
        context = None if self._context is None else self._context[index]
        weight = None if self.table.weight is None else self.table.weight[index]
        return Batch(u, context, weight, observed)

    def _model_units(self, index: Tensor, noise_seed: int, start: int | None) -> Tensor:
        if self._u is not None:
            return self._u[index]
        shared_by = 1 if start is None else self.processes
        noise = Rows(noise_seed, len(index), start or 0, self.model.dtype, self.model.device, shared_by)
        return self._mapped(self.model._to_model(self.table.x[index], noise)[0])

    @torch.no_grad()
    def _mapped(self, u: Tensor) -> Tensor:
        return u if self.table.map is None else self.table.map(u)

    def _index(self) -> Tensor:
        """Positions [k W B, (k + 1) W B) of the endless order; a batch may cross an epoch's end."""
        left, n = self.size * self.processes, len(self.table)
        start, parts = self.drawn * left, []
        while left:
            order, offset = self._permutation(start // n), start % n
            part = order[offset : offset + left]
            parts.append(part)
            start, left = start + len(part), left - len(part)
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            generator = generator_for(self.seed, ORDER, epoch)
            self._epoch, self._order = epoch, torch.randperm(len(self.table), generator=generator)
        return self._order
