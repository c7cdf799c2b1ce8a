"""The common path of every question: check, flatten, convert, batch, restore.

    x (*L, *E) data units  ->  (B, *E)  ->  u (B, *U) model units  ->  hook  ->  (B, ...)  ->  (*L, ...)

A context has a prefix of L as its leading dims; it is converted by its own preprocessing, embedded once, and repeated
to one row for each row of x. Counted events come back as whole numbers, others in the precision of the weights.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fairway.core.arrays import as_tensor
from fairway.core.event import Event
from fairway.core.numerics import event_sum
from fairway.core.preprocessing import Preprocessing
from fairway.core.random import BLOCK, Rows

CHUNK = 8192  # rows per pass when no batch_size is given, at most
NUMBERS = {"cpu": 2**18}  # entries of them: beyond, what networks make of images leaves the caches (1.5 times as slow)
MORE = 2**22  # the same elsewhere


class RowWise(nn.Module):
    """Units, shapes and batches of a model; see `Model` for the attributes it uses."""

    event: Event
    context_event: Event | None
    model_event: Event
    preprocess: Preprocessing
    context_preprocess: Preprocessing | None

    if TYPE_CHECKING:  # what `Model` and its capabilities add

        def __getattr__(self, name: str) -> Any: ...

    # -- where and in which precision ---------------------------------------------------------------------------
    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        return next((p.device for p in self.parameters()), self._anchor.device)

    @property
    def dtype(self) -> torch.dtype:
        """Floating dtype of the parameters."""
        return next((p.dtype for p in self.parameters() if p.is_floating_point()), self._anchor.dtype)

    @property
    def rows_at_once(self) -> int:
        """Rows per pass when no batch_size is given; a matter of speed and memory alone."""
        entries = NUMBERS.get(self.device.type, MORE) // max(self.model_event.dims, 1)
        return max(min(entries, CHUNK) // BLOCK, 1) * BLOCK

    # -- rows and contexts --------------------------------------------------------------------------------------
    def embed(self, context: Tensor | None) -> Tensor | None:
        """A context in model units, embedded once for the hooks (None stays None)."""
        return None if context is None else self._context(context)

    def use_preprocessing(self, preprocess: Preprocessing) -> None:
        """Replace the preprocessing by one that leads to the same model units.

        Raises:
            ValueError: it leads elsewhere.
        """
        out = preprocess.model_event
        if out.shape != self.model_event.shape or out.counted != self.model_event.counted:
            raise ValueError(f"{self.name()} was built for {self.model_event}; this preprocessing leads to {out}")
        self.preprocess = preprocess

    def _checked(self, x: Any, event: Event | None = None, missing: bool = False) -> Tensor:
        event = event or self.event
        x = as_tensor(x)
        if missing and event.counted and x.is_floating_point():
            x = torch.nan_to_num(x, nan=float(event.offset))
        x = event.check(x).to(self.device)
        if not event.counted and not x.is_floating_point():
            x = x.to(torch.get_default_dtype())
        if not missing and not event.missing and x.is_floating_point() and bool(torch.isnan(x).any()):
            raise ValueError(f"expected x without NaN, got one at index {torch.isnan(x).nonzero()[0].tolist()}")
        return x

    def _over_rows(
        self,
        hook: Callable[[Tensor, Tensor | None, int], Tensor],
        x: Any,
        context: Any,
        batch_size: int | None,
        event: Event | None = None,
        missing: bool = False,
    ) -> Tensor:
        """Check, flatten leading dims, embed the context, run the hook in batches, restore leading dims."""
        x = self._checked(x, event, missing)
        shape = (event or self.event).shape
        lead = x.shape[: x.ndim - len(shape)]
        flat = x.reshape(-1, *x.shape[len(lead) :])
        wanted = x.requires_grad or (isinstance(context, Tensor) and context.requires_grad)
        with torch.set_grad_enabled(torch.is_grad_enabled() and (wanted or self.training)):
            rows = self._context_rows(context, tuple(lead))
            size = batch_size or max(len(flat), 1) if wanted or self.training else batch_size or self.rows_at_once
            parts = [
                hook(flat[a : a + size], None if rows is None else rows[a : a + size], a)
                for a in range(0, len(flat), size)
            ]
        out = torch.cat(parts) if len(parts) != 1 else parts[0]
        return out.reshape((*lead, *out.shape[1:]))

    def _context_rows(self, context: Any, lead: tuple[int, ...]) -> Tensor | None:
        """Embedded context, one row for each of the flattened leading dims (context leads are a prefix of x's)."""
        if self.context_event is None or context is None:
            if context is not None:
                raise ValueError(
                    f"expected no context ({self.name()} was built without context_event), got one; leave it out, or "
                    "build the model with context_event=..."
                )
            if self.context_event is not None:
                raise ValueError(
                    f"expected context={self.context_event}: {self.name()} is conditional; got none: pass context=..., "
                    "one for all or a batch of them"
                )
            return None
        c = self.context_event.check(context, "context").to(self.device)
        own = c.shape[: c.ndim - len(self.context_event.shape)]
        if tuple(own) != lead[: len(own)]:
            raise ValueError(f"expected context with leading dims a prefix of {lead}, got {tuple(own)}")
        rest = lead[len(own) :]
        embedded = self._embed_rows(c.reshape(-1, *c.shape[len(own) :]))
        repeats = torch.Size(rest).numel()
        return embedded.repeat_interleave(repeats, 0) if repeats != 1 else embedded

    def context_in_model_units(self, c: Tensor | None) -> Tensor | None:
        """A checked context (B, *C) through its own preprocessing, not yet embedded (None stays None)."""
        if c is None or self.context_preprocess is None:
            return None
        return self.context_preprocess.to_model(c)[0].to(self.dtype)

    def _embed_rows(self, c: Tensor) -> Tensor:
        return self._context(self.context_in_model_units(c))

    def _starts(self, init: Any, n: int) -> Tensor:
        """Starting points in data units (n, *E) as model units."""
        x = self._checked(init)
        if len(x) != n or x.ndim != len(self.event.shape) + 1:
            raise ValueError(f"expected init of shape ({n}, ...), one starting point per draw, got {tuple(x.shape)}")
        return self._to_model(x)[0]

    def _one_context(self, context: Any) -> bool:
        return as_tensor(context, "context").ndim == len(self.context_event.shape)  # type: ignore[union-attr]

    def _sampling_contexts(self, context: Any) -> Tensor | None:
        """(B, ...) embedded contexts for sampling, or None."""
        if context is None or self.context_event is None:
            return self._context_rows(context, ())
        c = as_tensor(context, "context")
        c = c.unsqueeze(0) if c.ndim == len(self.context_event.shape) else c
        return self._context_rows(c, tuple(c.shape[:1]))

    def _to_model(self, x: Tensor, rows: Rows | None = None) -> tuple[Tensor, Tensor]:
        u, ladj = self.preprocess.to_model(x, rows)
        return (u if self.model_event.counted else u.to(self.dtype)), ladj

    def _to_data(self, u: Tensor) -> Tensor:
        """(n, *U) -> (n, *E) in the dtype of the event: bytes where 256 levels suffice, int64, or the model's float."""
        x = self.preprocess.to_data(u)
        if not self.event.counted:
            return x.to(self.dtype)
        low, high = self.event.offset, self.event.offset + (self.event.levels or 2**31) - 1
        return x.round().to(torch.uint8 if self.event.kind == "integer" and low >= 0 and high <= 255 else torch.int64)

    def _mask_rows(self, observed: Any, x: Tensor, start: int) -> Tensor:
        """The rows of a mask (*E) or (*L, *E) that belong to the flat rows x (B, *E) from `start` on."""
        mask = Event(self.event.shape).check(observed, "observed").bool().to(x.device)
        if mask.ndim == len(self.event.shape):
            mask = mask.expand_as(x)
        else:
            mask = mask.reshape(-1, *mask.shape[mask.ndim - len(self.event.shape) :])[start : start + len(x)]
        if mask.shape != x.shape:
            raise ValueError(f"expected observed as one mask for all rows or one per row, got {tuple(mask.shape)}")
        if x.is_floating_point() and bool((mask & torch.isnan(x)).any()):
            raise ValueError("expected a value wherever observed is true, got NaN; mark those entries as unobserved")
        return mask

    def _filler(self, x: Tensor) -> Tensor:
        """Some valid value in data units for entries that are ignored."""
        return self.preprocess.to_data(torch.zeros_like(x, dtype=torch.float64)).to(x.dtype)

    def _entry_ladj(self, x: Tensor, mask: Tensor) -> Tensor:
        """The units' log-determinant of the observed entries alone (every map here acts entry by entry)."""
        with torch.enable_grad():
            point = x.detach().double().requires_grad_()
            u, _ = self.preprocess.to_model(point)
            (slope,) = torch.autograd.grad(u.sum(), point)
        return event_sum(torch.where(mask, slope.abs().log(), 0.0))
