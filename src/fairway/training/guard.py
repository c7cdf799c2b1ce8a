"""Stop on NaN or divergence, without asking the device at every step.

A window keeps every move's numbers (loss, terms, gradient norm) on the device. They are read once per log window, with
a single host sync, which gives both the means for the log and the first move that was not finite. A
move may still break the weights after the last finite loss, so they are looked at, too, before a state is remembered
as good. A run that diverged is put back to that state before the error is raised, so that the caller holds a usable
model.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from fairway.core import parallel
from fairway.training import checkpoint

HUGE = 1e8  # nats per entry: a loss beyond this has left every model's scale


class Diverged(RuntimeError):
    """Training left the finite numbers; the model is back at its last good state.

    Args:
        step: the first bad step, counted from 0.
        term: the name of the first bad term ("loss" or "gradient" where every term was fine).
        last_good: the number of steps behind the weights that the model was put back to.
        model: that model.
        out: the run folder, whose last checkpoint is named.
        why: what is wrong, where all numbers are finite.
    """

    def __init__(
        self,
        step: int,
        term: str,
        last_good: int,
        model: object = None,
        out: Path | None = None,
        why: str | None = None,
    ) -> None:
        self.step, self.term, self.last_good, self.model, self.out = step, term, last_good, model, out
        found = why or f"the term {term!r} is not finite (or beyond {HUGE:g})"
        super().__init__(
            f"training diverged at step {step}: {found}; the model was put back to step {last_good}{_on_disk(out)}. "
            "Try a lower lr, or look at the data near that step"
        )


def _on_disk(out: Path | None) -> str:
    """Where the last good checkpoint lies."""
    if out is None:
        return ""
    last = checkpoint.read(out)
    if last is None:
        return f", and {out} holds no checkpoint yet"
    return f", and the last good checkpoint is that of step {last[1]['step']} in {out / checkpoint.PLACE}"


@torch.no_grad()
def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with an entry that is not finite (or not worth squaring); one host sync."""
    kept = {name: _own(value) for name, value in tensors.items() if value.is_floating_point() and value.numel()}
    if not kept:
        return None
    sizes = torch.stack([norm.double() for norm in torch._foreach_norm(list(kept.values()))])
    bad = (parallel.total((~sizes.isfinite()).float()) > 0).tolist()
    return next((name for name, broken in zip(kept, bad, strict=True) if broken), None)


def _own(tensor: Tensor) -> Tensor:
    """This process's piece of a tensor that several may share."""
    pieces: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return pieces.detach()


class Window:
    """The numbers of the moves since the last log row."""

    def __init__(self) -> None:
        self._moves: list[tuple[int, tuple[str, ...]]] = []
        self._on_device: list[Tensor] = []
        self._sums: dict[str, tuple[float, int]] = {}

    def add(self, step: int, player: str, loss: Tensor, terms: dict[str, Tensor], norm: Tensor) -> None:
        """Keep one move's scalars: no operation, no host sync.

        Args:
            step: counted from 0.
            player: names the loss and the gradient in the log, unless it is the model.
            loss, terms, norm: scalars, nats per entry.
        """
        prefix = "" if player == "model" else f"{player}_"
        self._moves.append((step, (f"{prefix}loss", *terms, f"{prefix}gradient")))
        self._on_device += [v.detach() for v in (loss, *terms.values(), norm)]

    def check(self) -> tuple[int, str] | None:
        """(step, term) of the first bad move not yet looked at, or None; one host sync, one mean over processes."""
        if not self._moves:
            return None
        values = parallel.mean(torch.stack([v.reshape(()) for v in self._on_device]).double()).tolist()
        moves, self._moves, self._on_device = self._moves, [], []
        for step, names in moves:
            row, values = values[: len(names)], values[len(names) :]
            if any(_is_bad(name, value) for name, value in zip(names, row, strict=True)):
                return step, _first_bad(names, row)
            self._add_up(names, row)
        return None

    def means(self) -> dict[str, float]:
        """The mean of every number by name since the last call, of the moves that were checked."""
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        return means

    def _add_up(self, names: tuple[str, ...], row: list[float]) -> None:
        for name, value in zip(names, row, strict=True):
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value, count + 1)


def _is_bad(name: str, value: float) -> bool:
    """Not finite, or huge; a gradient may be: one row far out in a heavy tail makes it so, and it is clipped."""
    return not abs(value) <= (sys.float_info.max if name.endswith("gradient") else HUGE)


def _first_bad(names: tuple[str, ...], row: list[float]) -> str:
    """The first bad term; the loss or the gradient where every term was fine."""
    bad = [name for name, value in zip(names, row, strict=True) if _is_bad(name, value)]
    terms = [name for name in bad if name not in (names[0], names[-1])]
    return (terms or bad)[0]
