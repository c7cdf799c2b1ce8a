"""What a warm-up learns: step sizes, units, the length of a trajectory. It stops before draws are kept.

    DualAveraging   log step sizes towards a wanted acceptance (Nesterov 2009; Hoffman & Gelman 2014, section 3.2:
                    gamma = 0.05, t0 = 10, kappa = 0.75); the answer is the average over the run, not the last value
    PerChain        each chain its own step size, so that a draw does not depend on how many there are
    Pooled          one step size for all chains, and the standard deviation of every entry over chains and time, in
                    windows that double: an early window that saw only the way in is forgotten
    Trajectory      Pooled and the length T of a trajectory by ChEES (Hoffman, Radul & Sountsov 2021): climb
                    E[(|u' - E u'|^2 - |u - E u|^2)^2] / 4 in log T, u the start and u' the end of a trajectory

With units s the kernel sees u / s, a target of unit variances; that is a diagonal mass matrix 1 / s^2.
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
LONGEST = 1000.0  # trajectory length in steps


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
    """Mean and variance of every entry over chains and time, in float64, without keeping the states."""

    def __init__(self) -> None:
        self.n, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())

    def update(self, u: Tensor) -> None:
        """Add chains u (B, *U)."""
        u, total = u.double(), self.n + len(u)
        mean = u.mean(0)
        gap = mean - self.mean
        self.squares = self.squares + (u - mean).square().sum(0) + gap.square() * (self.n * len(u) / total)
        self.mean, self.n = self.mean + gap * (len(u) / total), total

    def std(self) -> Tensor:
        """(1, *U): shrunk a little towards 1e-3 while there are few draws, as Stan does."""
        variance = self.squares / max(self.n - 1, 1)
        share = self.n / (self.n + 5.0)
        return (share * variance + (1 - share) * 1e-3).sqrt().unsqueeze(0)


def windows(steps: int) -> set[int]:
    """The steps after which the units are renewed: 10 % to find the way in, windows that double, 10 % for the step.

    The first windows are short because many chains see much in few steps, and long trajectories in bad units are dear.
    """
    first, last = round(0.1 * steps), steps - max(round(0.1 * steps), 1)
    ends, end, width = [first], first, max(round(0.04 * steps), 5)
    while end + 2 * width < last:
        end, width = end + width, 2 * width
        ends.append(end)
    return {*ends, last} if last > first + 10 else set()


class Pooled(Adaptation):
    """One step size and one scale for all chains.

    Until the units are first measured each chain has its own step size, so that one that starts far out finds its way
    in at its own pace instead of being stuck at a step that suits the others.
    """

    def __init__(self, state: State, steps: int, wanted: float) -> None:
        self.wanted, self.ends, self.seen = wanted, windows(steps), 0
        self.first = min(self.ends, default=0)
        self.moments, self.average = Moments(), DualAveraging(state.step if self.first else state.step.mean(), wanted)

    def update(self, before: State, after: State, info: Info) -> State:
        self.seen += 1
        step = self.average.update(info.acceptance if self.seen <= self.first else info.acceptance.mean())
        if self.seen > self.first // 2:
            self.moments.update(after.u)
        if self.seen in self.ends:
            after, step = self._renew(after)
        return replace(after, step=step.expand_as(after.step))

    def final(self, state: State) -> State:
        return replace(state, step=self.average.final().expand_as(state.step).clone())

    def _renew(self, state: State) -> tuple[State, Tensor]:
        """The scale that was measured; the step size starts again from what it was, in the new units."""
        scale = self.moments.std().to(state.u)
        step = (self.average.final().median() * (state.scale / scale).log().mean().exp()).clamp(max=1.0)
        self.moments, self.average = Moments(), DualAveraging(step, self.wanted)
        return replace(state, scale=scale), step


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
        self._climb(slope, float(after.step[0]))
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

        The end moves with velocity p' (in units of the scale), so d u' / d T = scale p'.
        """
        assert info.proposal is not None and info.momentum is not None
        weight = torch.nan_to_num(info.acceptance)
        total = weight.sum()
        end = torch.nan_to_num(info.proposal / before.scale, nan=0.0, posinf=0.0, neginf=0.0)
        start, p = before.u / before.scale, torch.nan_to_num(info.momentum, nan=0.0, posinf=0.0, neginf=0.0)
        shape = (-1, *[1] * (end.ndim - 1))
        centre = (weight.reshape(shape) * end).sum(0) / total.clamp(min=1e-12)
        start = start - start.mean(0)
        change = event_sum((end - centre).square()) - event_sum(start.square())
        slope = (weight * change * event_sum((end - centre) * p)).sum() / total.clamp(min=1e-12)
        return float(slope)

    def _climb(self, slope: float, step: float) -> None:
        """One step of Adam on log T, kept between one and a thousand leapfrog steps."""
        if not math.isfinite(slope):
            return
        self.rounds += 1
        slope = slope * math.exp(self.log_length)
        self.square = DECAY * self.square + (1 - DECAY) * slope**2
        size = math.sqrt(self.square / (1 - DECAY**self.rounds))
        self.log_length += RATE * slope / max(size, 1e-300)
        self.log_length = min(max(self.log_length, math.log(step)), math.log(LONGEST * step))
        self.mean_log_length += self.rounds**-0.5 * (self.log_length - self.mean_log_length)
