"""The noise of a step, drawn before the step: what a compiler sees are tensors, not generators.

    draws = Draws.of(function, rows)         run it once, noting which draw came from which stream
    tensors = draws.ahead(rows)              the same draws for the rows of any step
    function(Played(rows, tensors))          hands them out in that order

Every step must draw as often and as much as the first: an objective with `traceable` promises so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fairway.core.random import Rows


class Untraceable(RuntimeError):
    """A loss that cannot be compiled: says why."""


@dataclass
class Draws:
    """Which draws a function makes: streams as (parent, keys), draws as (stream, method, arguments)."""

    streams: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    draws: list[tuple[int, str, tuple[Any, ...]]] = field(default_factory=list)

    @classmethod
    def of(cls, function: Callable[[Rows], Any], rows: Rows) -> "Draws":
        """Call the function on other noise, so that the rows stay as they are, and note what it draws.

        Raises:
            Untraceable: it asks for a generator.
        """
        found = cls()
        function(_Noted(rows.spawn(), found, 0))
        return found

    def ahead(self, rows: Rows) -> list[Tensor]:
        """The noise that the function would draw from these rows, in order."""
        streams = [rows]
        for parent, keys in self.streams:
            streams.append(streams[parent].spawn(*keys))
        return [getattr(streams[stream], method)(*arguments) for stream, method, arguments in self.draws]


class _Noted(Rows):
    """Draws what other rows do, and notes it."""

    def __init__(self, of: Rows, found: Draws, stream: int) -> None:
        super().__init__(of.seed, of.n, of.start, of.dtype, of.device, of.shared_by)
        self._of, self._found, self._stream = of, found, stream

    def _note(self, method: str, *arguments: Any) -> Tensor:
        self._found.draws.append((self._stream, method, arguments))
        noise: Tensor = getattr(self._of, method)(*arguments)
        return noise

    def normal(self, *shape: int) -> Tensor:
        return self._note("normal", *shape)

    def uniform(self, *shape: int) -> Tensor:
        return self._note("uniform", *shape)

    def integers(self, high: int, *shape: int) -> Tensor:
        return self._note("integers", high, *shape)

    def ahead(self, law: str, count: int, *shape: int) -> Tensor:
        return self._note("ahead", law, count, *shape)

    def spawn(self, *keys: int) -> "Rows":
        self._found.streams.append((self._stream, keys))
        return _Noted(self._of.spawn(*keys), self._found, len(self._found.streams))

    def shared(self, *keys: int) -> torch.Generator:
        raise Untraceable("it draws from a generator that rows share")


class Played(Rows):
    """Hands out noise drawn ahead, in order, whatever the stream.

    Args:
        like: rows of the same number, place, precision and device.
        noise: what `Draws.ahead` gave.
    """

    def __init__(self, like: Rows, noise: Sequence[Tensor]) -> None:
        super().__init__(0, like.n, like.start, like.dtype, like.device, like.shared_by)
        self._left = list(noise)

    def _draw(self, law: Any, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
        return self._left.pop(0)

    def integers(self, high: int, *shape: int) -> Tensor:
        return self._left.pop(0)

    def ahead(self, law: str, count: int, *shape: int) -> Tensor:
        return self._left.pop(0)

    def spawn(self, *keys: int) -> "Played":
        other = Played(self, ())
        other._left = self._left
        return other

    def shared(self, *keys: int) -> torch.Generator:
        raise Untraceable("it draws from a generator that rows share")
