"""What one observation is: its shape, its kind and its range.

An `Event` describes the support of a distribution in *data units*, so that densities, bits and errors can be honest:

=========  =======================================  ============================
kind       support of one entry                     reference measure
=========  =======================================  ============================
real       (-inf, inf)                              Lebesgue, data units
bounded    (low, high)                              Lebesgue, data units
positive   (0, inf)                                 Lebesgue, data units
integer    low, low + 1, ..., high                  counting
binary     0, 1                                     counting
category   0, ..., levels - 1 (no order)            counting
tokens     0, ..., levels - 1, along a sequence     counting
=========  =======================================  ============================

Only events that count (`levels` known) have bits per dimension: -log2 p(x) / dims.

>>> import torch
>>> Event.infer(torch.rand(10, 3))
Event(shape=(3,), kind='real')
>>> Event.infer(torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)).levels
256
"""

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.extent import Extent

Kind = Literal["real", "bounded", "positive", "integer", "binary", "category", "tokens"]
KINDS = ("real", "bounded", "positive", "integer", "binary", "category", "tokens")
COUNTED = ("integer", "binary", "category", "tokens")
MAX_INFERRED_LEVELS = 256  # floats that hold whole numbers over a wider range are taken as real


@dataclass(frozen=True, repr=False)
class Event:
    """The support of one observation.

    Args:
        shape: shape of one observation, without the batch; a `None` entry is a variable length.
        kind: see the table above.
        levels: number of values an entry can take (counted kinds only).
        low, high: the range of `bounded` and `integer` kinds, in data units.
        missing: entries may be NaN (only models with `HasMarginal` take such data).
    """

    shape: tuple[int | None, ...]
    kind: Kind = "real"
    levels: int | None = None
    low: float | None = None
    high: float | None = None
    missing: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if self.kind not in KINDS:
            raise ValueError(f"expected an event kind among {', '.join(KINDS)}; got {self.kind!r}")
        if self.kind == "binary":
            object.__setattr__(self, "levels", 2)
        if self.kind == "integer" and self.levels is None and self.low is not None and self.high is not None:
            object.__setattr__(self, "levels", int(self.high - self.low) + 1)
        if self.kind in ("category", "tokens") and not self.levels:
            raise ValueError(f"expected levels=... for an event of kind {self.kind!r}, got none")
        if self.kind == "bounded" and (self.low is None or self.high is None or not self.low < self.high):
            raise ValueError(f"expected low < high for a bounded event, got low={self.low}, high={self.high}")

    def __repr__(self) -> str:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        shown = [f.name for f in fields(self) if f.name == "kind" or values[f.name] != f.default]
        return f"Event({', '.join(f'{name}={values[name]!r}' for name in shown)})"

    # -- what it says -------------------------------------------------------------------------------------------
    @property
    def dims(self) -> int:
        """Entries per observation (variable lengths count as 1)."""
        return math.prod([s or 1 for s in self.shape])  # a list: compilers trace no generator here

    @property
    def counted(self) -> bool:
        """Probabilities rather than densities: the kind is integer, binary, category or tokens."""
        return self.kind in COUNTED

    @property
    def image(self) -> bool:
        """Shape (height, width) or (channels, height, width)."""
        return len(self.shape) in (2, 3)

    @property
    def offset(self) -> int:
        """The smallest value of a counted event: level = value - offset."""
        return int(self.low or 0) if self.kind == "integer" else 0

    # -- configuration ------------------------------------------------------------------------------------------
    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; only what differs from the defaults."""
        out = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {**out, "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> "Event":
        """The inverse of `to_dict`.

        Raises:
            ValueError: unknown or missing entries.
        """
        known = {f.name for f in fields(cls)}
        if not isinstance(entries, dict) or set(entries) - known or "shape" not in entries:
            raise ValueError(f"expected an event with entries among {sorted(known)}, got {entries!r}")
        return cls(**{**entries, "shape": tuple(entries["shape"])})

    # -- data ---------------------------------------------------------------------------------------------------
    @classmethod
    def infer(cls, x: Any, what: str = "x") -> "Event":
        """Infer the event from data with a leading batch axis: (n, d), (n, h, w), (n, c, h, w) or (n,) for labels.

        Unsigned bytes are 256 levels; booleans and {0, 1} integers are binary; other integers run from their
        smallest to their largest value; floats are real, unless every value is a whole number within 256 levels
        (scanned pixels stored as floats), where a density would be infinite: these are integers too.

        Raises:
            ValueError: a scalar or a flat float array, infinities, a column without a finite value.
        """
        x = as_tensor(x, what)
        if x.ndim == 0 or (x.ndim == 1 and x.is_floating_point()):
            raise ValueError(f"expected {what} of shape (n, d) or images, got {tuple(x.shape)}; use {what}[:, None]")
        shape, extent = tuple(x.shape[1:]), Extent.of(x.detach(), each=False)
        missing = extent.gap is not None
        event = cls(shape, missing=missing)
        event._refuse_nonfinite(extent, what)
        event._refuse_empty(x, extent, what)
        low, high = map(int, extent.range)
        if x.dtype == torch.bool:
            return cls(shape, "binary")
        if x.dtype == torch.uint8 and high > 1:
            return cls(shape, "integer", low=0, high=255)
        if x.is_floating_point() and not (extent.whole and 0 < high - low < MAX_INFERRED_LEVELS):
            return event
        if low == 0 and high == 1:
            return cls(shape, "binary", missing=missing)
        return cls(shape, "integer", low=low, high=high, missing=missing)

    @classmethod
    def infer_context(cls, context: Any) -> "Event":
        """Like `infer`, but whole numbers (n,) are class labels without order: 0, ..., levels - 1.

        Raises:
            ValueError: negative labels, or as in `infer`.
        """
        c = as_tensor(context, "context")
        if c.ndim == 1 and not c.is_floating_point():
            if int(c.min()) < 0:
                raise ValueError(f"expected class labels 0, 1, ..., got a negative label {int(c.min())}")
            return cls((), "category", levels=int(c.max()) + 1)
        return cls.infer(c, "context")

    def check(self, x: Any, what: str = "x") -> Tensor:
        """Check the trailing shape (any leading dims) and, for counted kinds, the range; return the tensor.

        Raises:
            ValueError: says which shape or value was expected and which came.
        """
        x = self._fitting(x, what)
        if self.counted:
            self._check_counts(x, Extent.of(torch.atleast_1d(x.detach()), each=False), what)
        return x

    def check_data(self, x: Any, what: str = "x") -> Tensor:
        """`check`, plus what a fit must refuse: infinities, NaN, constant real columns, values out of range.

        Raises:
            ValueError: names the column and what to do.
        """
        x, extent = self._rows_of(x, what)
        self._refuse_empty(x, extent, what)
        if self.kind == "real" and len(self.shape) == 1 and len(x) > 1:
            self._refuse_constant(extent, what)
        return x

    def check_rows(self, x: Any, what: str = "x") -> Tensor:
        """`check_data` of some rows of a larger data set, whose columns may happen to be constant.

        Raises:
            ValueError: infinities, NaN, values out of range.
        """
        return self._rows_of(x, what)[0]

    def _rows_of(self, x: Any, what: str) -> tuple[Tensor, Extent]:
        """Rows whose every value is allowed, and what they span."""
        x = self._fitting(x, what)
        if x.ndim == len(self.shape):
            raise ValueError(f"expected {what} with a leading batch axis, got one observation {tuple(x.shape)}")
        extent = Extent.of(x.detach(), each=self.kind == "real" and len(self.shape) == 1)
        self._refuse_nonfinite(extent, what)
        if self.counted:
            self._check_counts(x, extent, what)
        low, high = extent.range
        if self.kind == "bounded" and (low < float(self.low or 0) or high > float(self.high or 0)):
            raise ValueError(f"expected {what} in [{self.low}, {self.high}], got [{low}, {high}]")
        if self.kind == "positive" and low <= 0:
            raise ValueError(f"expected positive {what}, got a smallest value of {low}")
        return x, extent

    def _fitting(self, x: Any, what: str) -> Tensor:
        """A tensor with the trailing shape of an observation."""
        x = as_tensor(x, what)
        lead = x.ndim - len(self.shape)
        fits = lead >= 0 and all(s is None or s == got for s, got in zip(self.shape, x.shape[lead:], strict=True))
        if not fits:
            expected = ", ".join(["..."] + ["L" if s is None else str(s) for s in self.shape])
            raise ValueError(f"expected {what} of shape ({expected}), got {tuple(x.shape)}; {self._hint(x)}")
        return x

    def _hint(self, x: Tensor) -> str:
        if len(self.shape) == 3 and x.ndim >= 3 and x.shape[-1] == self.shape[0] and self.shape[0] != self.shape[-1]:
            return "channels come first: use x.permute(0, 3, 1, 2)"
        return f"one observation has shape {tuple(self.shape)}"

    def _check_counts(self, x: Tensor, extent: Extent, what: str) -> None:
        low, high = self.offset, None if self.levels is None else self.offset + self.levels - 1
        if x.is_floating_point() and not (extent.whole and extent.infinity is None):
            raise ValueError(f"expected whole numbers for {what} ({self.kind}), got fractions")
        if extent.gap is not None and not self.missing:
            raise ValueError(f"expected whole numbers for {what} ({self.kind}), got NaN at index {extent.gap}")
        smallest, largest = map(int, extent.range)
        if (self.low is not None or self.kind != "integer") and (
            smallest < low or (high is not None and largest > high)
        ):
            raise ValueError(f"expected {what} in {low}..{high} ({self.kind}), got values in {smallest}..{largest}")

    def _refuse_nonfinite(self, extent: Extent, what: str) -> None:
        if extent.infinity is not None:
            raise ValueError(f"expected finite {what}, got an infinity at index {extent.infinity}; remove or clip it")
        if extent.gap is not None and not self.missing:
            raise ValueError(
                f"expected {what} without NaN, got one at index {extent.gap}; "
                "impute or drop those rows, or use a model that marginalises (fairway list --capability marginal)"
            )

    def _refuse_empty(self, x: Tensor, extent: Extent, what: str) -> None:
        if extent.gap is None:
            return
        extent = Extent.of(x.detach())
        empty = (extent.low > extent.high).nonzero().flatten().tolist()
        if empty:
            raise ValueError(f"expected finite values in every column of {what}, got only NaN in column {empty[0]}")

    def _refuse_constant(self, extent: Extent, what: str) -> None:
        constant = (extent.low >= extent.high).nonzero().flatten().tolist()
        if constant:
            raise ValueError(
                f"expected columns that vary, got a constant column {constant[0]} in {what}: its density is "
                "infinite; drop it"
            )
