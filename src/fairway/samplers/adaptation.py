"""What a warm-up learns: step sizes, units, the length of a trajectory. It stops before draws are kept.

    DualAveraging   log step sizes towards a wanted acceptance (Nesterov 2009; Hoffman & Gelman 2014, section 3.2:
                    gamma = 0.05, t0 = 10, kappa = 0.75); the answer is the average over the run, not the last value
    PerChain        each chain its own step size, so that a draw does not depend on how many there are
    Pooled          one step size for all chains, and the unit s of every entry, in windows that double: an early
                    window that saw only the way in is forgotten
    Trajectory      Pooled and the length T of a trajectory by ChEES (Hoffman, Radul & Sountsov 2021): climb
                    E[(|u' - E u'|^2 - |u - E u|^2)^2] / 4 in log T, u the start and u' the end of a trajectory

Where a window has thirty draws per entry the units are the Cholesky factor of their covariance: a dense mass matrix,
which undoes correlation; a Gaussian then takes a handful of leapfrogs whatever its condition. With fewer it is
diagonal: with units s the kernel sees u / s, a mass matrix 1 / s^2. The unit is s^4 = Var u / Var grad log pi,
over chains and time: the standard deviation where entries are independent, and what brings a Gaussian nearest to
N(0, I) in Fisher divergence where they are not (as nutpie does). Chains that start from N(0, I) know it at once.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fairway.core.numerics import event_sum
from fairway.samplers.kernel import Info, State

RATE, DECAY = 0.05, 0.95  # ChEES: Adam's step on log T (with beta1 = 0) and its second-moment decay
DENSE, ENOUGH = 64, 30  # most entries for units that are a matrix, and draws per entry it takes to measure them
LONGEST = 1000.0  # trajectory length in units of the scale
REFUSED, BACK, RETURN = 0.1, 0.7, 1.3  # an acceptance that counts as refusal, and how a chain's own step then moves


class DualAveraging:
    """Log step sizes (B,), each towards the wanted acceptance."""

    def __init__(self, step: Tensor, wanted: float) -> None:
        self.step, self.wanted, self.centre = step, wanted, (10 * step).log()
        self.error, self.mean, self.count = torch.zeros_like(step), step.log(), 0

    def update(self, acceptance: Tensor) -> Tensor:
        """The step sizes for the next move, after seeing the acceptance (B,) of this one."""
        self.count += 1
        n = self.count
        self.error = self.error + (self.wanted - acceptance - self.error) / (n + 10)
        log_step = self.centre - self.error * n**0.5 / 0.05
        self.mean = self.mean + n**-0.75 * (log_step - self.mean)
        return log_step.exp()

    def final(self) -> Tensor:
        """The averaged step sizes (the ones given, when no move was seen)."""
        return self.mean.exp() if self.count else self.step


class Adaptation(ABC):
    """Changes the chains' tuning during a warm-up."""

    def begin(self, state: State) -> State:
        """The state that the warm-up starts from."""
        return state

    @abstractmethod
    def update(self, before: State, after: State, info: Info) -> State:
        """The state to go on from, after one move."""

    @abstractmethod
    def final(self, state: State) -> State:
        """The state with what was learned, from now on fixed."""


class PerChain(Adaptation):
    """The step size of each chain."""

    def __init__(self, state: State, wanted: float) -> None:
        self.average = DualAveraging(state.step, wanted)

    def update(self, before: State, after: State, info: Info) -> State:
        return replace(after, step=self.average.update(info.acceptance))

    def final(self, state: State) -> State:
        return replace(state, step=self.average.final())


class Moments:
    """Mean and variance of every entry over chains and time, in float64, without keeping the states; of points of
    shape (D,), D at most 64, their covariance."""

    def __init__(self) -> None:
        self.n, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())
        self.products: Tensor | None = None

    def update(self, u: Tensor) -> None:
        """Add chains u (B, *U)."""
        if not len(u):
            return
        u, total = u.double(), self.n + len(u)
        mean = u.mean(0)
        gap, rest = mean - self.mean, u - mean
        self.squares = self.squares + rest.square().sum(0) + gap.square() * (self.n * len(u) / total)
        if u.ndim == 2 and 1 < u.shape[1] <= DENSE:
            products = rest.T @ rest + torch.outer(gap, gap) * (self.n * len(u) / total)
            self.products = products if self.products is None else self.products + products
        self.mean, self.n = self.mean + gap * (len(u) / total), total

    def variance(self) -> Tensor:
        """(*U,)"""
        return self.squares / max(self.n - 1, 1)

    def covariance(self) -> Tensor | None:
        """(D, D), or None where there are too few draws for one."""
        if self.products is None or self.n < ENOUGH * len(self.products):
            return None
        return self.products / (self.n - 1)


def is_dense(scale: Tensor) -> bool:
    """Whether units are a matrix (D, D)."""
    return scale.ndim == 2 and scale.shape[0] == scale.shape[1] > 1


def in_units(u: Tensor, scale: Tensor) -> Tensor:
    """u (B, *U) in units of the scale."""
    return torch.linalg.solve_triangular(scale, u.T, upper=False).T if is_dense(scale) else u / scale


def _size(scale: Tensor) -> Tensor:
    """The geometric mean of the units."""
    return (scale.diagonal() if is_dense(scale) else scale).log().mean().exp()


def unit_of(variance: Tensor, slope: Tensor) -> Tensor:
    """(1, *U): the unit of each entry from the variances of u and of the gradient; 1 where they say nothing."""
    unit = (variance / slope).pow(0.25)
    return torch.where(torch.isfinite(unit) & (unit > 0), unit, 1.0).unsqueeze(0)


def _spread(values: Tensor) -> Tensor:
    """(B, *U) -> (*U,): a variance that a few outliers do not move, the squared median distance from the median."""
    return (values - values.median(0).values).abs().median(0).values.square().double()


def windows(steps: int) -> set[int]:
    """The steps after which the units are renewed: 6 % to find the way in, windows that double, 10 % for the step.

    The first windows are short because many chains see much in few steps, and long trajectories in bad units are dear.
    """
    first, last = round(0.06 * steps), steps - max(round(0.1 * steps), 1)
    ends, end, width = [first], first, max(round(0.04 * steps), 5)
    while end + 2 * width < last:
        end, width = end + width, 2 * width
        ends.append(end)
    return {*ends, last} if last > first + 10 else set()


class Pooled(Adaptation):
    """One step size and one scale for all chains.

    A chain that starts far out can be stuck at a step that suits the others: in the first quarter of a warm-up, while
    its moves are refused, it backs off to smaller steps of its own, and does not count for what all share until it has
    come back. (Not later: a step that depends on where the chain has been does not leave the target where it is.)
    """

    def __init__(self, state: State, steps: int, wanted: float) -> None:
        self.wanted, self.ends, self.seen = wanted, windows(steps), 0
        self.first, self.early = min(self.ends, default=0), steps // 4
        self.average = DualAveraging(state.step.mean(), wanted)
        self.share = torch.ones_like(state.step)  # of the common step, for each chain
        self.places, self.slopes = Moments(), Moments()

    def begin(self, state: State) -> State:
        """Units from where the chains start, if there are enough to tell."""
        if not self.first or len(state.u) < 8:
            return state
        return replace(state, scale=unit_of(_spread(state.u), _spread(state.grad)).to(state.u))

    def update(self, before: State, after: State, info: Info) -> State:
        self.seen += 1
        step = self.average.update(self._common(info.acceptance))
        if self.seen > self.first // 2:
            settled = self.share == 1
            self.places.update(after.u[settled])
            self.slopes.update(after.grad[settled])
        if self.seen in self.ends:
            after, step = self._renew(after)
        return replace(after, step=step * self.share)

    def final(self, state: State) -> State:
        return replace(state, step=self.average.final().expand_as(state.step).clone())

    def _common(self, acceptance: Tensor) -> Tensor:
        """Mean acceptance of the chains at the common step (of all, while none is); the others back off or return."""
        common = self.share == 1
        mean = acceptance[common].mean() if bool(common.any()) else acceptance.mean()
        moved = torch.where(acceptance < REFUSED, self.share * BACK, (self.share * RETURN).clamp(max=1.0))
        self.share = moved if self.seen < self.early else torch.ones_like(moved)
        return mean

    def _renew(self, state: State) -> tuple[State, Tensor]:
        """The scale that was measured; the step size starts again from what it was, in the new units."""
        scale = self._measured().to(state.u)
        step = (self.average.final() * (_size(state.scale) / _size(scale))).clamp(max=1.0)
        self.places, self.slopes, self.average = Moments(), Moments(), DualAveraging(step, self.wanted)
        return replace(state, scale=scale), step

    def _measured(self) -> Tensor:
        """The units that the window saw: one per entry, or a matrix where the draws are enough for one."""
        unit = unit_of(self.places.variance(), self.slopes.variance())
        covariance = self.places.covariance()
        if covariance is None:
            return unit
        share = self.places.n / (self.places.n + 5.0 * len(covariance))
        spread = unit.squeeze(0).square().to(covariance)
        factor, failed = torch.linalg.cholesky_ex(share * covariance + (1 - share) * spread.diag())
        return unit if bool(failed) else factor


class Trajectory(Pooled):
    """Pooled, and the trajectory's mean length T by ChEES; `state.length` holds it in units of the scale."""

    def __init__(self, state: Any, steps: int, wanted: float) -> None:
        super().__init__(state, steps, wanted)
        self.log_length, self.mean_log_length = float(state.length.log()), float(state.length.log())
        self.square, self.rounds = 0.0, 0

    def update(self, before: State, after: State, info: Info) -> State:
        slope = self._slope(before, info)
        units = before.scale
        after = super().update(before, after, info)
        if after.scale is not units:
            self._restart()
        self._climb(slope)
        return replace(after, length=after.u.new_tensor(math.exp(self.log_length)))  # type: ignore[call-arg]

    def final(self, state: State) -> State:
        state = super().final(state)
        return replace(state, length=state.u.new_tensor(math.exp(self.mean_log_length)))  # type: ignore[call-arg]

    def _restart(self) -> None:
        """A quarter of a period, which is right for independent entries in the units just measured."""
        self.log_length = self.mean_log_length = math.log(math.pi / 2)
        self.square, self.rounds = 0.0, 0

    def _slope(self, before: State, info: Info) -> float:
        """d log of the criterion / d log T, up to a positive factor, from one trajectory of every chain.

        The end moves with velocity p' (in units of the scale), and a trajectory's own length t is a random share of
        T, so d u' / d log T = t p'.
        """
        assert info.proposal is not None and info.momentum is not None
        weight = torch.nan_to_num(info.acceptance)
        total = weight.sum()
        end = torch.nan_to_num(in_units(info.proposal, before.scale), nan=0.0, posinf=0.0, neginf=0.0)
        start, p = in_units(before.u, before.scale), torch.nan_to_num(info.momentum, nan=0.0, posinf=0.0, neginf=0.0)
        shape = (-1, *[1] * (end.ndim - 1))
        centre = (weight.reshape(shape) * end).sum(0) / total.clamp(min=1e-12)
        start = start - start.mean(0)
        change = event_sum((end - centre).square()) - event_sum(start.square())
        slope = (weight * change * event_sum((end - centre) * p)).sum() / total.clamp(min=1e-12)
        return float(slope * info.gradients * before.step.mean())

    def _climb(self, slope: float) -> None:
        """One step of Adam on log T. (T may be shorter than a step: a trajectory still takes one.)"""
        if not math.isfinite(slope):
            return
        self.rounds += 1
        self.square = DECAY * self.square + (1 - DECAY) * slope**2
        size = math.sqrt(self.square / (1 - DECAY**self.rounds))
        self.log_length += RATE * slope / max(size, 1e-300)
        self.log_length = min(max(self.log_length, -math.log(LONGEST)), math.log(LONGEST))
        self.mean_log_length += self.rounds**-0.5 * (self.log_length - self.mean_log_length)
