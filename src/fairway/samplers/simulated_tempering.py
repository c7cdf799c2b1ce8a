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
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fairway.core.numerics import expand_as_rows
from fairway.core.random import Rows
from fairway.samplers.annealing import check_betas, plan
from fairway.samplers.driver import ChainError, PathDriver, Run, noises
from fairway.samplers.kernel import Kernel
from fairway.samplers.levels import Levels
from fairway.samplers.target import Reference, Target, Tempered

PATIENCE = 50  # times as many rounds as evenly visited temperatures would take


class SimulatedTempering(PathDriver):
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

    shared = True

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
        noise = noises(kernel, target, rows.spawn(1), 10**9)
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


def learn(levels: Levels, u: Tensor, rounds: int) -> tuple[Tensor, Tensor]:
    """Chains after a warm-up, and the zeta (K,) that it found."""
    zeta, count, slow = levels.ladder.log_Z.to(u.device), len(levels.ladder), max(rounds // 2, 1)
    for t in range(1, rounds + 1):
        u, _ = levels.round(u, zeta)
        gain = min(1 / count, t**-0.6 if t <= slow else 1 / (t - slow + slow**0.6))
        zeta = zeta + gain * (count * levels.conditional(levels.path.f(u), zeta).mean(0) - 1)
    levels.forget()
    return u, zeta - zeta[0]


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
