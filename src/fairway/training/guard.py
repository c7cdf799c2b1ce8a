"""Stop on NaN or divergence, without asking the device at every step.

The guard keeps one flag on the device: the first step whose loss or gradient norm was not finite, with the terms of
that loss. It is read once per log window, together with the log itself. A run that diverged is put back to the last
good snapshot before the error is raised, so that the caller holds a usable model.
"""

import torch
from torch import Tensor

HUGE = 1e8  # nats per entry: a loss beyond this has left every model's scale


class Diverged(RuntimeError):
    """Training left the finite numbers; `step`, `term`, and `model` restored to the last good checkpoint.

    Args:
        step: the first bad step.
        term: the name of the first bad term ("gradient" if every term was fine).
        last_good: the step the model was put back to.
    """

    def __init__(self, step: int, term: str, last_good: int, model: object = None) -> None:
        self.step, self.term, self.last_good, self.model = step, term, last_good, model
        super().__init__(
            f"training diverged at step {step}: the term {term!r} is not finite (or beyond {HUGE:g}); the model was "
            f"put back to step {last_good}. Try a lower lr, or look at the data near that step"
        )


class Guard:
    """Remembers the first bad step on the device."""

    def __init__(self) -> None:
        self.bad_step: Tensor | None = None
        self.bad_terms: Tensor | None = None
        self.names: list[str] = []

    def watch(self, step: int, total: Tensor, terms: dict[str, Tensor], norm: Tensor) -> None:
        """Look at one step's loss, terms and gradient norm; no host sync."""
        values = torch.stack([v.detach().reshape(()).float() for v in (total, *terms.values(), norm)])
        names = ["loss", *terms, "gradient"]
        bad = (~torch.isfinite(values) | (values.abs() > HUGE)).any()
        now = torch.full((), step, dtype=torch.long, device=values.device)
        if self.bad_step is None:
            self.bad_step, self.bad_terms, self.names = torch.full_like(now, -1), torch.zeros_like(values), names
        if names != self.names:  # another phase has other terms: decide here, at the price of a sync
            self._keep_if_bad(bool(bad), now, values, names)
            return
        first = bad & (self.bad_step < 0)
        self.bad_terms = torch.where(first, values, self.bad_terms)  # type: ignore[arg-type]
        self.bad_step = torch.where(first, now, self.bad_step)

    def _keep_if_bad(self, bad: bool, now: Tensor, values: Tensor, names: list[str]) -> None:
        if bad and self.bad_step is not None and int(self.bad_step) < 0:
            self.bad_step, self.bad_terms, self.names = now, values, names

    def verdict(self) -> tuple[int, str] | None:
        """(step, term) of the first bad step, or None; one host sync."""
        if self.bad_step is None or int(self.bad_step) < 0:
            return None
        values = self.bad_terms.tolist()  # type: ignore[union-attr]
        bad = [n for n, v in zip(self.names, values, strict=True) if not abs(v) <= HUGE]
        named = [n for n in bad if n not in ("loss", "gradient")] or bad
        return int(self.bad_step), named[0]
