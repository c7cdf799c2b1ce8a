"""Rows of the training data by index: one permutation per epoch, known from the seed and the epoch alone.

Batch k takes positions k B, ..., (k + 1) B - 1 of the endless sequence of permutations, so that the only state of the
data order is one number, k. Of W processes that share a run each takes its part of a batch of W B rows, with the noise
that these rows have in one process:

    process r, batch k:  positions k W B + r B, ..., k W B + (r + 1) B - 1

Rows that fit into memory are turned into model units once and kept; those of a table that stays on disk are, batch by
batch. Where rows come from is the table's business: `Table` picks them by index, a `StreamTable` reads them.
"""

import os
from dataclasses import replace

import torch
from torch import Tensor

from fairway.core.extent import rows_per_chunk
from fairway.core.model import Model
from fairway.core.objective import Batch
from fairway.core.random import Rows, mix
from fairway.training.streams import StreamTable
from fairway.training.table import Table

__all__ = ["Batches", "Table"]
NOISE = 2  # stream of the fit's seed


class Batches:
    """Training rows in model units, batch by batch.

    Args:
        model: its fitted preprocessing turns rows into model units; random maps do so afresh at every batch.
        table: the rows.
        size: rows per batch and process (an equal share of all rows where there are fewer).
        seed: of the order and of the preprocessing's noise.
        share: this process's number and the number of processes that share each batch.

    Raises:
        ValueError: fewer rows than processes.
    """

    def __init__(
        self, model: Model, table: Table | StreamTable, size: int, seed: int, share: tuple[int, int] = (0, 1)
    ) -> None:
        self.model, self.table, self.seed = model, table, seed
        self.rank, self.processes = share
        self.size = min(size, len(table) // self.processes)
        if not self.size:
            raise ValueError(f"expected a row for each of {self.processes} processes, got {len(table)}; start fewer")
        self.drawn = 0
        self._sequence = table.reader(seed, self.size, share)
        stays = table.device is not None or model.preprocess.random
        self._ready = None if stays else self._in_model_units(table, None)  # type: ignore[arg-type]

    def next(self) -> Batch:
        """The next batch."""
        k, self.drawn = self.drawn, self.drawn + 1
        rows, seed = self._sequence(k), mix(self.seed, NOISE, k)
        batch = self.take(rows, seed, self.rank * self.size, self.processes)
        if self.processes == 1 or batch.weight is None:
            return batch
        total = self.table.weight_of(self._sequence.whole(k))  # type: ignore[union-attr]
        return replace(batch, total=total / self.processes)

    def all(self, limit: int | None = None) -> Batch:
        """The first rows (all by default) in their own order, with noise that never changes.

        Raises:
            ValueError: more rows than memory holds.
        """
        rows, seed = self.table.first(limit), mix(self.seed, NOISE, -1)
        if self.table.device is None or not isinstance(rows, Tensor):
            return self.take(rows, seed)
        self._refuse_too_many(len(rows))
        step = rows_per_chunk(self.table.x)  # type: ignore[union-attr]
        return _joined([self.take(part, seed, i * step) for i, part in enumerate(rows.split(step))])

    def rows(self, n: int) -> tuple[Tensor, Tensor | None]:
        """The first n rows in their own order, data units, and their contexts."""
        first = self.table.first(n)
        part = self.table.rows(first) if isinstance(first, Tensor) else first  # type: ignore[union-attr]
        return part.x, part.context

    def take(self, rows: Tensor | Table, noise_seed: int, start: int = 0, shared_by: int = 1) -> Batch:
        """The rows at an index (or rows that were read) in model units.

        Args:
            rows: as `table.first` or its sequence gives them. noise_seed: of a random preprocessing.
            start, shared_by: their place in a batch that so many processes share.
        """
        if self._ready is not None and isinstance(rows, Tensor):
            return _picked(self._ready, rows.to(self._ready.u.device))
        noise = Rows(noise_seed, len(rows), start, self.model.dtype, self.model.device, shared_by)
        return self._in_model_units(rows if isinstance(rows, Table) else self.table.rows(rows), noise)  # type: ignore[union-attr]

    def _in_model_units(self, rows: Table, noise: Rows | None) -> Batch:
        observed = ~torch.isnan(rows.x) if self.model.event.missing else None
        u = self.model._to_model(rows.x, noise)[0].detach()
        if rows.map is not None:
            with torch.no_grad():
                u = rows.map(u)
        elif observed is not None:
            u = torch.where(observed, u, torch.zeros_like(u))
        return Batch(u, self.model.context_in_model_units(rows.context), rows.weight, observed)

    def _refuse_too_many(self, n: int) -> None:
        """All rows of a table on disk must fit into half of the machine's memory, in model units and while joined."""
        needed, memory = 2 * n * self.model.event.dims * self.model.dtype.itemsize, _memory()
        if 2 * needed > memory:
            raise ValueError(
                f"expected data that fit into memory for what needs all {n} rows at once (a solver, say): {needed:.1e} "
                f"bytes of {memory:.1e}; give fewer rows, or take a model that learns from batches"
            )


def _picked(batch: Batch, index: Tensor) -> Batch:
    parts = (None if t is None else t[index] for t in (batch.context, batch.weight, batch.observed))
    return Batch(batch.u[index], *parts)


def _joined(parts: list[Batch]) -> Batch:
    def join(name: str) -> Tensor:
        found = [getattr(part, name) for part in parts]
        return None if found[0] is None else torch.cat(found)  # type: ignore[return-value]

    return Batch(join("u"), join("context"), join("weight"), join("observed"))


def _memory() -> int:
    """Bytes of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
