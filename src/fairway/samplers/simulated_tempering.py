"""Simulated tempering: the temperature is a coordinate of the chain.

    p(u, k)  proportional to  exp(beta_k f(u) - zeta_k) q(u),     k = 0 (the reference q), ..., K - 1 (the target)

A chain that wanders in k leaves a mode when it is hot, finds another, and is a draw of the target whenever k = K - 1
(Marinari & Parisi 1992). One round draws k given u, exactly, from p(k | u), and moves u by a kernel that keeps pi_k.
All k are equally likely when zeta_k = log Z_k, which nobody knows: a warm-up learns it by stochastic approximation,

    zeta_k += gain_t (K mean p(k | u) - 1),      gain_t = min(1 / K, t^-0.6), then falling as 1 / t

(Wang & Landau 2001; self-adjusted mixture sampling, Tan 2017, section 4), and it is frozen before draws are kept. Any
frozen zeta gives the right draws, a bad one too few of them. What the rounds after it say of the ratio of the ends,

    log Z = zeta_(K-1) - zeta_0 + log mean p(K-1 | u) - log mean p(0 | u)

is an estimate with the error that the chains' disagreement shows. A look at the draws must be one at the round trips.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasEnergy
from fairway.core.numerics import expand_as_rows
from fairway.core.random import Rows
from fairway.samplers.annealing import check_betas, plan
from fairway.samplers.driver import Book, ChainError, Driver, Run, noises
from fairway.samplers.kernel import Kernel, Noise, State
from fairway.samplers.pilot import Ladder
from fairway.samplers.target import Reference, Target, Tempered
from fairway.samplers.whitening import quarter_turn

PATIENCE = 50  # times as many rounds as evenly visited temperatures would take


class SimulatedTempering(Driver):
    """Chains that change their temperature; starting points are drawn from N(0, std^2 I).

    Draws are those of all chains at beta = 1, in the order of time, spread evenly over the rounds. `info` has "betas",
    "occupancy" (K,) shares of the rounds, "round_trips" from beta = 0 to 1 and back, of all chains, "rounds", and
    "log_Z_error".

    Args:
        chains: how many.
        betas: how many temperatures, or the temperatures from 0 to 1; None lets the pilot run place them.
        steps: moves of a round.
        warmup: rounds in which zeta is learned; a tenth as many moves at each stop of the pilot run.
        rounds: at least so many after it; more where they bring fewer draws than wanted.
        std: standard deviation of q, model units.

    >>> from fairway.samplers import Langevin, MCMC, draw
    >>> draws = draw(lambda u: -2 * (u.abs() - 2).square().sum(1), 400, 2,
    ...              sampler=MCMC(Langevin(metropolis=True), SimulatedTempering(warmup=60, rounds=60)), generator=0)
    >>> round(float((draws.samples > 0).double().mean()), 1), draws.info["round_trips"] > 20
    (0.5, True)
    """

    coupled = True

    def __init__(
        self,
        chains: int = 128,
        betas: int | Sequence[float] | None = None,
        steps: int = 3,
        warmup: int = 200,
        rounds: int = 200,
        std: float = 1.0,
    ) -> None:
        check_betas(betas)
        if min(chains, steps, warmup, rounds) < 1 or std <= 0:
            raise ValueError(f"expected counts >= 1 and std > 0, got {chains}, {steps}, {warmup}, {rounds}, {std}")
        self.parallel, self.betas, self.steps, self.std = chains, betas, steps, std
        self.warmup, self.rounds = warmup, rounds

    @property
    def requires(self) -> tuple[type[Capability], ...]:
        return (HasEnergy,)

    def chains(self, n: int) -> int:
        return self.parallel

    def run(
        self,
        kernel: Kernel,
        target: Target,
        u: Tensor,
        rows: Rows,
        *,
        step: Tensor | None = None,
        trace: bool = False,
        n: int | None = None,
    ) -> Run:
        """As `Driver.run`; `trace` keeps the chains at every round, at all temperatures, (rounds, chains, *U).

        Raises:
            ValueError: a kernel without a Metropolis test.
            ChainError: too few draws at beta = 1 after many rounds.
        """
        if kernel.wanted_acceptance is None:
            raise ValueError(f"simulated tempering expects a kernel with a Metropolis test, got {kernel.name()}")
        path, n = Tempered(target, Reference(std=self.std)), n or len(u)
        ladder = plan(kernel, path, rows.spawn(0), self.betas, max(self.warmup // 10, 10))
        noise = noises(kernel, target.event, rows.spawn(1), 10**9)
        levels = Levels(kernel, path, ladder, self.steps, noise, rows.spawn(2))
        u = path.reference.sample(rows.spawn(3), tuple(u.shape[1:]))
        u, zeta = learn(levels, u, self.warmup)
        ledger, least = Ledger(zeta), max(self.rounds, math.ceil(n * len(ladder) / len(u)))
        while len(ledger) < self.rounds or ledger.draws < n:
            u, k = levels.round(u, zeta)
            ledger.write(u, k, levels.conditional(path.f(u), zeta))
            if len(ledger) == PATIENCE * least:
                raise ChainError(
                    f"chains 0 to {len(u) - 1} have been at beta = 1 {ledger.draws} times in {len(ledger)} rounds, "
                    f"expected {n}: take a longer warm-up, more temperatures, or another std"
                )
        return ledger.account(levels, n, trace)


@dataclass
class Levels:
    """What moves chains that are each at a temperature of its own.

    Args:
        steps: moves of a round. noise: of one move after the other. rows: for drawing temperatures.
        book: acceptance and gradients.
    """

    kernel: Kernel
    path: Tempered
    ladder: Ladder
    steps: int
    noise: Iterator[Noise]
    rows: Rows
    book: Book = field(default_factory=lambda: Book(0))
    state: State = None  # type: ignore[assignment]

    def conditional(self, f: Tensor, zeta: Tensor) -> Tensor:
        """p(k | u) (B, K) of chains with f (B,)."""
        betas = self.ladder.betas.to(f.device)
        energy = torch.where(betas == 0, 0.0, betas * f.double().unsqueeze(1))
        return torch.softmax(torch.nan_to_num(energy, nan=-math.inf) - zeta, 1)

    def round(self, u: Tensor, zeta: Tensor) -> tuple[Tensor, Tensor]:
        """Chains u (B, *U) after drawing temperatures k (B,) and moving at them; and k."""
        edges = self.conditional(self.path.f(u), zeta).cumsum(1)
        k = (edges < self.rows.uniform().to(edges).unsqueeze(1)).sum(1).clamp(max=len(self.ladder) - 1)
        self.book.gradients += 2
        return self.move(u, k), k

    def move(self, u: Tensor, k: Tensor) -> Tensor:
        """Some moves at temperatures k."""
        here = Own(self.ladder.means[k], self.ladder.factors[k])
        target = here.target(self.path.at(self.ladder.betas.to(u)[k]))
        state = self.kernel.init(target, here.to_round(u))
        state = quarter_turn(replace(state, step=self.ladder.steps[k]))
        for _ in range(self.steps):
            state, info = self.kernel.step(target, state, next(self.noise))
            self.book.record(state, info)
        self.state = state
        return here.from_round(state.u)


@dataclass(frozen=True)
class Own:
    """Coordinates of chains that are each at a temperature of its own: as `Whitening`, one for each chain.

    Args:
        mean: (B, D). factor: (B, D, D) lower triangular, or (B, D) a diagonal.
    """

    mean: Tensor
    factor: Tensor

    def to_round(self, u: Tensor) -> Tensor:
        """u -> v, (B, *U) both."""
        centred = u.flatten(1) - self.mean
        if self.factor.ndim == 2:
            return (centred / self.factor).reshape(u.shape)
        return torch.linalg.solve_triangular(self.factor, centred.unsqueeze(2), upper=False).reshape(u.shape)

    def from_round(self, v: Tensor) -> Tensor:
        """v -> u."""
        flat = v.flatten(1)
        moved = flat * self.factor if self.factor.ndim == 2 else (self.factor @ flat.unsqueeze(2)).squeeze(2)
        return (self.mean + moved).reshape(v.shape)

    def target(self, at: Target) -> Target:
        """A density of u in these coordinates."""
        known: dict[str, Any] = {"event": at.event, "dtype": at.dtype, "device": at.device}
        return _Owned(lambda v: at.value(self.from_round(v)), **known, at=at, own=self)


@dataclass(frozen=True)
class _Owned(Target):
    at: Target = None  # type: ignore[assignment]
    own: Own = None  # type: ignore[assignment]

    def chains(self, index: Tensor) -> Target:
        return Own(self.own.mean[index], self.own.factor[index]).target(self.at.chains(index))

    def value_and_grad(self, v: Tensor) -> tuple[Tensor, Tensor]:
        value, grad = self.at.value_and_grad(self.own.from_round(v))
        factor, flat = self.own.factor, grad.flatten(1)
        turned = flat * factor if factor.ndim == 2 else (factor.mT @ flat.unsqueeze(2)).squeeze(2)
        return value, turned.reshape(v.shape)


def learn(levels: Levels, u: Tensor, rounds: int) -> tuple[Tensor, Tensor]:
    """Chains after a warm-up, and the zeta (K,) that it found."""
    zeta, count, slow = levels.ladder.log_Z.to(u.device), len(levels.ladder), max(rounds // 2, 1)
    for t in range(1, rounds + 1):
        u, _ = levels.round(u, zeta)
        gain = min(1 / count, t**-0.6 if t <= slow else 1 / (t - slow + slow**0.6))
        zeta = zeta + gain * (count * levels.conditional(levels.path.f(u), zeta).mean(0) - 1)
    levels.book = replace_book(levels.book)
    return u, zeta - zeta[0]


def replace_book(book: Book) -> Book:
    """A new book that goes on counting gradients."""
    book.close_block()
    new = Book(0)
    new.gradients = book.gradients
    return new


class Ledger:
    """What the rounds after the warm-up leave behind."""

    def __init__(self, zeta: Tensor) -> None:
        self.zeta, self.draws = zeta, 0
        self.places: list[Tensor] = []
        self.levels: list[Tensor] = []
        self.chance = torch.zeros(())  # sums of p(k | u) of each chain, (B, K)

    def __len__(self) -> int:
        return len(self.places)

    def write(self, u: Tensor, k: Tensor, chance: Tensor) -> None:
        """One round: chains u (B, *U), their temperatures k (B,), and p(k | u) (B, K)."""
        self.places.append(u)
        self.levels.append(k)
        self.chance = self.chance + chance
        self.draws += int((k == len(self.zeta) - 1).sum())

    def account(self, levels: Levels, n: int, trace: bool) -> Run:
        """The run, with n draws."""
        levels.book.close_block()
        places, k = torch.stack(self.places), torch.stack(self.levels)
        top = k == len(self.zeta) - 1
        samples = places[top][torch.arange(n, device=k.device) * self.draws // n]
        log_Z, error = self.log_Z()
        info: dict[str, Any] = {"betas": levels.ladder.betas, "log_Z_error": error, "rounds": len(self)}
        info["occupancy"] = torch.bincount(k.flatten(), minlength=len(self.zeta)).double() / k.numel()
        info["round_trips"] = round_trips(k, len(self.zeta) - 1)
        state, book = replace(levels.state, u=places[-1]), levels.book
        run = Run(state, levels.ladder.gradients + book.gradients, book.acceptance, book.divergences, info=info)
        run.samples, run.log_Z, run.trace = samples, log_Z, places if trace else None
        run.ess = effective(places, top).clamp(max=float(n))
        return run

    def log_Z(self) -> tuple[float, float]:
        """log Z, and its standard error by the disagreement of the chains (infinite for one alone)."""
        cold, hot = self.chance[:, -1] / self.chance[:, -1].mean(), self.chance[:, 0] / self.chance[:, 0].mean()
        ratio = self.chance[:, -1].mean().log() - self.chance[:, 0].mean().log()
        error = float((cold - hot).std()) / math.sqrt(len(cold)) if len(cold) > 1 else math.inf
        return float(self.zeta[-1] - self.zeta[0] + ratio), error


def round_trips(k: Tensor, top: int) -> int:
    """How often chains came back to temperature 0 after they had been at `top`; k (rounds, chains).

    >>> round_trips(torch.tensor([[0, 1, 2, 1, 2, 0, 2, 0]]).T, 2)
    2
    """
    been, count = torch.zeros(k.shape[1], dtype=torch.bool, device=k.device), 0
    for now in k:
        count += int((been & (now == 0)).sum())
        been = (been & (now != 0)) | (now == top)
    return count


def effective(places: Tensor, top: Tensor) -> Tensor:
    """(*U,): how many independent draws have means as uncertain as the chains' disagreement says.

    Args:
        places: (rounds, chains, *U). top: (rounds, chains), which of them are draws.
    """
    points = places.double()
    chosen = expand_as_rows(top.flatten(), places.flatten(0, 1)).reshape(*top.shape, *[1] * (places.ndim - 2))
    total = chosen.sum((0, 1))
    centred = chosen * (points - (chosen * points).sum((0, 1)) / total)
    variance = centred.square().sum((0, 1)) / total
    error = centred.sum(0).square().sum(0) / total.square() * (top.shape[1] / max(top.shape[1] - 1, 1))
    return variance / error.clamp(min=1e-300)
