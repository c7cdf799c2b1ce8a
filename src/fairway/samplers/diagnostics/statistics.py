"""Statistics of chains too long to keep: what the trace would say, in memory that does not grow.

Blocks of consecutive states come in and are forgotten. Count, mean and sum of squared deviations merge exactly (Chan,
Golub & LeVeque 1983): with delta the difference of the two means,

    mean = mean_a + delta n_b / n,      M2 = M2_a + M2_b + delta^2 n_a n_b / n

kept per chain for the whole run and for its first and second half (an odd run's middle draw is in neither), which
gives mean, sd and split R-hat; not the rank-normalised one, which needs all draws at once. The ESS comes from batch
means: batches of b = floor(sqrt(n)) draws (20 at least, where there are so many) are nearly independent, so
b Var(batch means) within a chain estimates the variance of a draw times its autocorrelation time (Flegal & Jones 2010).
So does n Var(chain means), unless the chains disagree: the larger of the two counts, which is cautious for a handful of
chains and right for stuck ones.

>>> import torch
>>> trace = torch.randn(400, 4, 2, generator=torch.Generator().manual_seed(0))
>>> kept = Statistics(steps=400)
>>> for block in trace.split(30):
...     kept.update(block)
>>> torch.allclose(kept.mean, trace.double().mean((0, 1)))
True
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fairway.samplers.diagnostics.rhat import from_moments

SMALL = 2**13  # numbers of a state up to which a copy costs less than an operation for each state


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations from it, each (chains, *U) in float64."""

    count: int
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, states: Sequence[Tensor]) -> "Moments":
        """Of k states (chains, *U): a few dozen at most, summed in their own precision as steps from the first."""
        origin, count = states[0], len(states)
        if origin.numel() <= SMALL:
            steps = torch.stack(tuple(states)) - origin
            total, squares = steps.sum(0), steps.square().sum(0)
        else:
            total, squares = torch.zeros_like(origin), torch.zeros_like(origin)
            for state in states[1:]:
                moved = state - origin
                total += moved
                squares.addcmul_(moved, moved)
        shift = total.double() / count
        return cls(count, origin.double() + shift, (squares.double() - count * shift.square()).clamp(min=0))

    def merged(self, other: "Moments | None") -> "Moments":
        """Of both together."""
        if other is None:
            return self
        count = self.count + other.count
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        return Moments(count, mean, self.squares + other.squares + delta.square() * (self.count * other.count / count))

    @property
    def variance(self) -> Tensor:
        return self.squares / (self.count - 1)

    def pooled(self) -> tuple[Tensor, Tensor]:
        """Mean and variance over all chains, (*U)."""
        mean = self.mean.mean(0)
        between = self.count * (self.mean - mean).square().sum(0)
        return mean, (self.squares.sum(0) + between) / (self.count * len(self.mean) - 1)


class Statistics:
    """Running statistics of chains of a known length; NaN while there are too few states for a number.

    Args:
        steps: length of every chain.
    """

    def __init__(self, steps: int) -> None:
        if steps < 1:
            raise ValueError(f"expected at least one step, got {steps}")
        self.steps, self.seen, self.batch = steps, 0, max(math.isqrt(steps), min(20, steps // 2), 1)
        half = steps // 2
        self._spans = {"whole": (0, steps), "first": (0, half), "second": (steps - half, steps)}
        self._kept: dict[str, Moments] = {}
        self._open: Moments | None = None  # the batch being filled
        self._batches: Moments | None = None  # of the means of full batches

    def update(self, states: Tensor | Sequence[Tensor]) -> None:
        """Take in the next states.

        Args:
            states: (k, chains, *U), or k tensors (chains, *U): consecutive states.

        Raises:
            ValueError: more states than `steps`, or another shape than before.
        """
        self._check(states)
        states = [u.detach() if u.is_floating_point() else u.double() for u in states]
        while states:
            size = min(self._until_boundary(), len(states))
            self._take(Moments.of(states[:size]))
            states = states[size:]

    def _check(self, states: Tensor | Sequence[Tensor]) -> None:
        shape = self._kept["whole"].mean.shape if self._kept else states[0].shape
        if len(shape) < 1 or any(u.shape != shape for u in states):
            raise ValueError(
                f"expected states of shape (chains, *U), {tuple(shape)} each, got {tuple(states[0].shape)}"
            )
        if self.seen + len(states) > self.steps:
            raise ValueError(
                f"expected {self.steps - self.seen} more states of the {self.steps} announced, got {len(states)}; "
                "build Statistics with the full number of steps"
            )

    def _until_boundary(self) -> int:
        """States until a half begins or ends, or a batch is full."""
        ends = {edge for span in self._spans.values() for edge in span} | {(self.seen // self.batch + 1) * self.batch}
        return min(edge for edge in ends if edge > self.seen) - self.seen

    def _take(self, piece: Moments) -> None:
        for name, (start, end) in self._spans.items():
            if start <= self.seen < end:
                self._kept[name] = piece.merged(self._kept.get(name))
        self.seen += piece.count
        self._open = piece.merged(self._open)
        if self._open.count == self.batch:
            mean = Moments(1, self._open.mean, torch.zeros_like(self._open.mean))
            self._batches, self._open = mean.merged(self._batches), None

    @property
    def mean(self) -> Tensor:
        """(*U), of all chains so far."""
        return self._known("whole").pooled()[0]

    @property
    def sd(self) -> Tensor:
        """(*U), of all chains so far."""
        return self._known("whole").pooled()[1].sqrt()

    @property
    def chain_mean(self) -> Tensor:
        """(chains, *U)."""
        return self._known("whole").mean

    @property
    def chain_variance(self) -> Tensor:
        """(chains, *U)."""
        return self._known("whole").variance

    @property
    def split_rhat(self) -> Tensor:
        """Split R-hat (*U) without ranks; NaN until all steps are in."""
        if self.seen < self.steps or self.steps < 4:
            return torch.full_like(self.mean, math.nan)
        halves = [self._kept["first"], self._kept["second"]]
        mean, variance = (torch.cat([getattr(h, part) for h in halves]) for part in ("mean", "variance"))
        return from_moments(mean.flatten(1).T, variance.flatten(1).T, self.steps // 2).reshape(mean.shape[1:])

    @property
    def ess_batch_means(self) -> Tensor:
        """A cautious estimate of the ESS of the mean (*U); NaN before two full batches of each chain."""
        whole, batches = self._known("whole"), self._batches
        if batches is None or batches.count < 2:
            return torch.full_like(self.mean, math.nan)
        long_run = self.batch * batches.variance.mean(0)
        if len(whole.mean) > 1:
            long_run = torch.maximum(long_run, whole.count * whole.mean.var(0))
        return whole.count * len(whole.mean) * whole.pooled()[1] / long_run

    @property
    def mcse_mean(self) -> Tensor:
        """Standard error of the mean (*U), by batch means."""
        return self.sd / self.ess_batch_means.sqrt()

    def _known(self, name: str) -> Moments:
        if name not in self._kept:
            raise ValueError("expected states before their statistics: call update first")
        return self._kept[name]
