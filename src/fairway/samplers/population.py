"""A population on its way along a path of densities: weights, resampling, moves, and what it says of itself.

    pi_beta = exp(beta f) q / Z_beta:      w = exp((beta' - beta) f),   Z' / Z = mean w,   resample, move under pi_beta'

Particles lie in islands, one after the other, that exchange nothing before the end, so that every island has its own,
independent estimate of log Z (`smc`). Moves go on until the particles have forgotten where they started: until the
correlation with the start, of their positions and of their log densities, is small, or falls no more (between modes it
never does).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from fairway.samplers.driver import ChainError, Run
from fairway.samplers.kernel import Kernel, Noise, State
from fairway.samplers.resampling import along_curve, log_mean, next_step, share, systematic
from fairway.samplers.target import Target, Tempered
from fairway.samplers.whitening import Whitening, quarter_turn

TEMPERATURES = 1000  # at most
ISLAND = 64  # particles of one
GAIN = 1.5  # of the log step size in the acceptance's error
FORGOTTEN = 0.3  # correlation with the start under which a population has moved
STALLED = 0.02  # fall of that correlation under which a further move is not worth its cost
PART = 2048  # particles whose density is asked for at once: more are slower where there are many data, and take memory


@dataclass
class Population:
    """Particles in islands one after the other, and what is known of the path so far.

    Args:
        u: (N, *U) in the coordinates in which the reference is N(0, I).
        coordinates: from there to the target's own.
        mover: the kernel and its tuning.
        generator: of the uniform numbers that resampling takes.
        trace: the positions at every temperature, where they are kept.
        beta: where on the path. log_Z: (M,) of each island. ess: (*U,) at the end.
    """

    u: Tensor
    coordinates: Whitening
    mover: "Mover"
    generator: torch.Generator
    trace: list[Tensor] | None = None
    beta: float = 0.0
    log_Z: Tensor = field(init=False)
    ess: Tensor | None = None
    betas: list[float] = field(default_factory=lambda: [0.0])
    shares: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log_Z = self.u.new_zeros(len(self.u) // ISLAND, dtype=torch.float64)

    @property
    def positions(self) -> Tensor:
        """(N, *U) in the target's own coordinates."""
        return self.coordinates.from_round(self.u)

    def go_on(self, path: Tempered, wanted: float, learn: bool) -> None:
        """Reweigh, resample, move (in coordinates learned now, or in those of the start): to the next temperature."""
        weights = self._reweigh(_checked(path.f(self.u), self.beta), wanted)
        round_now = Whitening.of(self.u, weights.flatten()) if learn else None
        self.u = self.u[self._resample(weights)]
        self.u = self.mover.move(self.u, self.beta, round_now)
        if self.trace is not None:
            self.trace.append(self.u)

    def _reweigh(self, f: Tensor, wanted: float) -> Tensor:
        """The weights (M, n) of the step to the next beta; they sum to 1 in every island."""
        left = 1 - self.beta
        delta = next_step(f, left, wanted)
        log_w = (delta * f.double()).unflatten(0, (-1, ISLAND))
        log_mean_w = log_w.logsumexp(1) - math.log(ISLAND)
        self.log_Z = self.log_Z + log_mean_w  # an island with no density left counts as zero, and goes on as it is
        self.shares.append(float(share(log_w.flatten())))
        self.beta = 1.0 if delta == left else self.beta + delta
        self.betas.append(self.beta)
        if len(self.betas) > TEMPERATURES:
            raise ChainError(f"SMC is at beta = {self.beta:.3g} after {TEMPERATURES} temperatures: take a wider std")
        return torch.where(torch.isfinite(log_mean_w).unsqueeze(1), log_w, 0.0).softmax(1) / len(log_w)

    def _resample(self, weights: Tensor) -> Tensor:
        """Indices (N,): each island within itself; at the end of the path all together, in proportion to their Z."""
        if self.beta < 1:
            return self._pick(weights)
        weights = weights * self.log_Z.softmax(0).unsqueeze(1)
        weights = weights / weights.sum()
        self.ess = effective(self.u, weights)
        return self._pick(weights.reshape(1, -1))

    def _pick(self, weights: Tensor) -> Tensor:
        """Systematically from each row of weights (M, N / M), in the order of a curve through the particles."""
        m, size = weights.shape
        order = along_curve(self.u.reshape(m, size, -1))
        uniform = torch.rand(m, 1, generator=self.generator, dtype=torch.float64).to(self.u.device)
        picked = order.gather(1, systematic(weights.gather(1, order), uniform))
        return (picked + torch.arange(0, len(self.u), size, device=self.u.device).unsqueeze(1)).flatten()

    def account(self, n: int, spent: float) -> Run:
        """The run; its draws are spread evenly over the particles, which lie in the order of their ancestors."""
        log_Z = self.log_Z + self.coordinates.log_det
        value, error = log_mean(log_Z)
        known = {"log_Z_error": error, "island_log_Z": log_Z, "betas": self.betas, "shares": self.shares}
        info: dict[str, Any] = known | {"acceptances": self.mover.acceptances, "moves": self.mover.moves}
        trace = None if self.trace is None else torch.stack([self.coordinates.from_round(u) for u in self.trace])
        state = replace(self.mover.state, u=self.positions)
        run = Run(state, self.mover.gradients + spent, self.mover.acceptance, self.mover.divergences, trace)
        run.log_Z, run.info, run.ess = value, info, self.ess
        run.samples = state.u[torch.arange(n, device=state.u.device) * len(state.u) // n]
        return run


def _checked(f: Tensor, beta: float) -> Tensor:
    """f with minus infinity where it is not a number.

    Raises:
        ChainError: nothing is left to go on with, or a density is infinite.
    """
    f = f.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf)
    infinite = f == math.inf
    if bool(infinite.any()):
        raise ChainError(f"the log density of chain {int(infinite.nonzero()[0])} is infinite at step 0 of {beta=:.3g}")
    if not bool(torch.isfinite(f).any()):
        raise ChainError(
            f"the log density at the start (step 0) of chain 0 is not finite, nor that of any of {len(f)} particles: "
            "expected a density that is positive somewhere the reference goes; take another std"
        )
    return f


class Mover:
    """A kernel with the tuning that it takes along from temperature to temperature.

    Args:
        noise: of one step after the other, without end.
        most: moves at one temperature.
    """

    def __init__(self, kernel: Kernel, path: Tempered, noise: Iterator[Noise], most: int) -> None:
        self.kernel, self.path, self.noise, self.most = kernel, path, noise, most
        self.step, self.gradients, self.divergences = 1.0, 0.0, 0
        self.moves: list[int] = []
        self.acceptances: list[float] = []
        self.state: State = None  # type: ignore[assignment]
        self.acceptance: Tensor = None  # type: ignore[assignment]

    def move(self, u: Tensor, beta: float, coordinates: Whitening | None) -> Tensor:
        """u (N, *U) moved, in other coordinates if given, until it has forgotten where it was or forgets no more."""
        target = self.path.at(beta)
        if coordinates is not None:
            self._until_forgotten(coordinates.target(target), coordinates.to_round(u))
            return coordinates.from_round(self.state.u)
        self._until_forgotten(target, u)
        return self.state.u

    def _until_forgotten(self, target: Target, u: Tensor) -> None:
        start = state = self.kernel.init(target, u)
        accepted, memory, done = torch.zeros_like(state.value), math.inf, 0
        while done < self.most:
            state, acceptance = self._one(target, state)
            accepted, done = accepted + acceptance, done + 1
            before, memory = memory, correlation(start, state)
            if memory < FORGOTTEN or before - memory < STALLED:
                break
        self.state, self.acceptance = state, accepted / done
        self.moves.append(done)
        self.acceptances.append(float(self.acceptance.mean()))
        self.gradients += 2  # the value before the step of beta, and the start

    def _one(self, target: Target, state: State) -> tuple[State, Tensor]:
        """A move with the step size so far, which then follows the acceptance."""
        state = quarter_turn(replace(state, step=torch.full_like(state.step, self.step)))
        state, info = self.kernel.step(target, state, next(self.noise))
        assert self.kernel.wanted_acceptance is not None
        self.step *= math.exp(GAIN * (float(info.acceptance.mean()) - self.kernel.wanted_acceptance))
        self.gradients += info.gradients
        self.divergences += 0 if info.divergent is None else int(info.divergent.sum())
        return state, info.acceptance


def correlation(start: State, now: State) -> float:
    """What a population remembers of its start: the correlation of the entries, on average, or that of the log density
    where it is larger."""
    entries = _correlations(start.u.flatten(1), now.u.flatten(1)).mean()
    value = _correlations(start.value.unsqueeze(1), now.value.unsqueeze(1))[0]
    return max(float(entries), float(value))


def _correlations(a: Tensor, b: Tensor) -> Tensor:
    """(N, D), (N, D) -> (D,)."""
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / (a.square().sum(0) * b.square().sum(0)).sqrt().clamp(min=1e-300)


def effective(u: Tensor, weights: Tensor) -> Tensor:
    """(*U,): how many independent draws have means as uncertain as the islands' disagreement says.

    Args:
        u: (N, *U) with weights (M, N / M) that sum to 1, by islands.
    """
    points = u.flatten(1).double().unflatten(0, (len(weights), -1))
    mean = (weights.unsqueeze(2) * points).sum((0, 1))
    centred = weights.unsqueeze(2) * (points - mean)
    variance = (centred * (points - mean)).sum((0, 1))
    error = centred.sum(1).square().sum(0) * len(weights) / max(len(weights) - 1, 1)
    return (variance / error.clamp(min=1e-300)).reshape(u.shape[1:])


def in_parts(target: Target) -> Target:
    """The same target, asked for so many particles at a time (one with a target of its own per chain as it is)."""
    known: dict[str, Any] = {"event": target.event, "dtype": target.dtype, "device": target.device}
    return target if target.part is not None else _InParts(target.log_prob, **known, of=target)


@dataclass(frozen=True)
class _InParts(Target):
    of: Target = None  # type: ignore[assignment]

    def value(self, u: Tensor) -> Tensor:
        return torch.cat([self.of.value(part) for part in u.split(PART)])

    def value_and_grad(self, u: Tensor) -> tuple[Tensor, Tensor]:
        values, grads = zip(*[self.of.value_and_grad(part) for part in u.split(PART)], strict=True)
        return torch.cat(values), torch.cat(grads)
