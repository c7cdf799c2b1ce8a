"""Parallel tempering: replicas at all temperatures, which change places (replica exchange; Geyer 1991).

    pi(u_0, ..., u_K-1) = prod_k pi_k(u_k),   pi_k = exp(beta_k f) q / Z_k,   0 = beta_0 < ... < beta_K-1 = 1

    move    u_0 is drawn afresh from q; u_k, k > 0, by a kernel that leaves pi_k invariant
    swap    u_k <-> u_k+1 with probability min(1, exp((beta_k+1 - beta_k)(f(u_k) - f(u_k+1))))

The pairs with even k are tried in even rounds, those with odd k in odd ones: a replica whose swaps succeed goes on in
its direction instead of wandering (Okabe et al. 2001), and the rate of round trips from q to the target and back stays
above zero however many temperatures there are (Syed, Bouchard-Côté, Deligiannidis & Doucet 2022). That rate is best
where all swaps are refused equally often. A warm-up measures the refusals r_k, reads the barrier

    Lambda(beta_k) = r_0 + ... + r_k-1

as a piecewise linear function, and puts the temperatures at equal parts of it, in rounds that double; then it adapts
the step size of each temperature; then both are frozen. What the rounds after it say of the constant,

    log Z = sum_k log E_k exp(d_k f / 2) - log E_k+1 exp(-d_k f / 2),      d_k = beta_k+1 - beta_k

has the error that leaving out one chain at a time shows (the jackknife). Shapes: u (K, C, *U), f (K, C) nats, C chains.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from fairway.core.random import Rows
from fairway.core.sampler import Sampler
from fairway.samplers.adaptation import DualAveraging
from fairway.samplers.annealing import check_betas, plan
from fairway.samplers.driver import PathDriver, Run, noises
from fairway.samplers.kernel import Info, Kernel, State, shape_of
from fairway.samplers.levels import Own
from fairway.samplers.pilot import Ladder, revived
from fairway.samplers.swaps import RoundTrips, evenly, exchange, stepping_stones, swap_chance
from fairway.samplers.target import Reference, Target, Tempered
from fairway.samplers.whitening import quarter_turn

WINDOWS = (0.1, 0.2, 0.4)  # of the warm-up: rounds after each of which the temperatures move


class ParallelTempering(PathDriver):
    """Replicas at all temperatures; draws are those at beta = 1, in the order of time, spread evenly over the rounds.

    Starting points are not used. `info` has "betas" and "steps" (K,), "swap_acceptance" (K - 1,) of every pair,
    "round_trips" from beta = 0 to 1 and back, of all replicas, "rounds", and "log_Z_error".

    Args:
        chains: how many ladders side by side.
        betas: how many temperatures, or the temperatures from 0 to 1 (which then stay); None for as many as a pilot
            run needs.
        steps: moves between two swaps.
        warmup: rounds of adaptation; a tenth as many moves at each stop of the pilot run.
        rounds: at least so many after it; more where n draws take more.
        std: standard deviation of q, model units.

    >>> from fairway.samplers import Langevin, MCMC, draw
    >>> draws = draw(lambda u: -2 * (u.abs() - 2).square().sum(1), 400, 2,
    ...              sampler=MCMC(Langevin(metropolis=True), ParallelTempering(warmup=60, rounds=60)), generator=0)
    >>> round(float((draws.samples > 0).double().mean()), 1), draws.info["round_trips"] > 20
    (0.5, True)
    """

    shared = True

    def __init__(
        self,
        chains: int = 256,
        betas: int | Sequence[float] | None = None,
        steps: int = 2,
        warmup: int = 100,
        rounds: int = 250,
        std: float = 1.0,
    ) -> None:
        check_betas(betas)
        if min(chains, steps, warmup, rounds) < 1 or std <= 0:
            raise ValueError(f"expected counts >= 1 and std > 0, got {chains}, {steps}, {warmup}, {rounds}, {std}")
        self.parallel, self.betas, self.steps, self.std = chains, betas, steps, std
        self.warmup, self.rounds = warmup, rounds

    def chains(self, n: int) -> int:
        return self.parallel

    def as_sampler(self) -> Sampler:
        """Langevin moves with a Metropolis test."""
        from fairway.samplers.langevin import Langevin
        from fairway.samplers.mcmc import MCMC

        return MCMC(Langevin(metropolis=True), self)

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
        """As `Driver.run`; `trace` keeps the replicas at beta = 1 of every round, (rounds, chains, *U).

        Raises:
            ValueError: a kernel without a Metropolis test.
            ChainError: a density that is zero, or not a number, wherever the reference goes.
        """
        if kernel.wanted_acceptance is None:
            raise ValueError(f"parallel tempering expects a kernel with a Metropolis test, got {kernel.name()}")
        path = Tempered(target, Reference(std=self.std))
        ladder = plan(kernel, path, rows.spawn(0), self.betas, max(self.warmup // 10, 10))
        replicas = Replicas(kernel, path, ladder, self.steps, rows.spawn(1))
        warm_up(replicas, self.warmup, isinstance(self.betas, int | None))
        replicas.ledger = Ledger(len(ladder), replicas.ledger.gradients)
        replicas.go(max(self.rounds, math.ceil((n or len(u)) / len(u))))
        return account(replicas, n or len(u), trace)


class Replicas:
    """Chains at all temperatures, moved in one batch; each temperature in the coordinates of its own (`pilot`).

    Args:
        steps: moves between two swaps.
        rows: one row per chain.
        u: (K, C, *U) where they stand; None for the pilot's idea of each temperature.
    """

    def __init__(
        self, kernel: Kernel, path: Tempered, ladder: Ladder, steps: int, rows: Rows, u: Tensor | None = None
    ) -> None:
        self.kernel, self.path, self.steps, self.rows, self.count = kernel, path, steps, rows, len(ladder)
        self.ladder, self.ledger, self.rounds = ladder, Ledger(len(ladder)), 0
        self.shape = shape_of(path.target.event)
        many = Rows(rows.seed, rows.n * (self.count - 1), 0, rows.dtype, rows.device)
        self.noise = noises(kernel, path.target, many.spawn(0), 10**9)
        self.fresh, self.chance = rows.spawn(1), rows.spawn(2)
        self.u = self._start(many.spawn(3)) if u is None else u
        self.f = path.f(self.u.flatten(0, 1)).unflatten(0, self.u.shape[:2])
        self.state: State = None  # type: ignore[assignment]

    def _start(self, many: Rows) -> Tensor:
        hot = self.path.reference.sample(self.fresh, self.shape)
        warm = self._own(many).from_round(many.normal(*self.shape))
        u = torch.cat([hot, warm])
        return revived(u, self.path.f(u)).unflatten(0, (self.count, self.rows.n))

    def _own(self, rows: Rows) -> Own:
        """Coordinates of the replicas from beta_1 up, temperature by temperature."""
        tuning = (self.ladder.means[1:], self.ladder.factors[1:])
        return Own(*(t.to(rows.device).repeat_interleave(self.rows.n, 0) for t in tuning))

    def go(self, rounds: int, average: DualAveraging | None = None) -> None:
        """So many rounds of moves and swaps, in which the step sizes adapt if asked to."""
        for _ in range(rounds):
            acceptance = self.move()
            if average is not None:
                by_temperature = acceptance.unflatten(0, (self.count - 1, -1)).mean(1)
                self.ladder = replace(
                    self.ladder, steps=_after_first(self.ladder.steps, average.update(by_temperature))
                )
            self.swap()

    def move(self) -> Tensor:
        """A round of moves; the acceptance of each replica from beta_1 up."""
        n, own = self.rows.n, self._own(self.rows)
        betas = self.ladder.betas[1:].to(self.u).repeat_interleave(n)
        target = own.target(self.path.at(betas))
        state = self.kernel.init(target, own.to_round(self.u[1:].flatten(0, 1)))
        state = quarter_turn(replace(state, step=self.ladder.steps[1:].to(state.step).repeat_interleave(n)))
        infos: list[Info] = []
        for _ in range(self.steps):
            state, info = self.kernel.step(target, state, next(self.noise))
            infos.append(info)
        self.state = replace(state, u=own.from_round(state.u))
        u = torch.cat([self.path.reference.sample(self.fresh, self.shape), self.state.u])
        self.u, self.f = u.unflatten(0, (self.count, n)), self.path.f(u).unflatten(0, (self.count, n))
        self.ledger.moved(infos)
        return torch.stack([info.acceptance for info in infos]).mean(0)

    def swap(self) -> None:
        """A round of swaps, and its entry in the ledger."""
        chance = swap_chance(self.ladder.betas.to(self.f), self.f)
        tried = torch.arange(self.count - 1, device=self.f.device) % 2 == self.rounds % 2
        swapped = (self.chance.uniform(self.count - 1).T.to(chance) < chance) & tried.unsqueeze(1)
        order = exchange(swapped)
        column = torch.arange(order.shape[1], device=order.device)
        self.u, self.f = self.u[order, column], self.f[order, column]
        self.rounds += 1
        self.ledger.swapped(self.u[-1], self.f, chance, order)


@dataclass
class Ledger:
    """What the rounds leave behind: draws at beta = 1, f of all, chances of swaps, round trips, acceptances, cost."""

    temperatures: int
    gradients: float = 0.0
    draws: list[Tensor] = field(default_factory=list)
    f: list[Tensor] = field(default_factory=list)
    chances: Tensor | float = 0.0
    acceptance: Tensor | float = 0.0
    moves: int = 0
    divergences: int = 0
    trips: RoundTrips | None = None

    def moved(self, infos: list[Info]) -> None:
        self.gradients += 3 + sum(info.gradients for info in infos)  # the value of f, and the start
        self.moves += len(infos)
        for info in infos:
            self.acceptance = self.acceptance + info.acceptance
            self.divergences += 0 if info.divergent is None else int(info.divergent.sum())

    def swapped(self, draws: Tensor, f: Tensor, chance: Tensor, order: Tensor) -> None:
        self.trips = self.trips or RoundTrips(*f.shape)
        self.trips.update(order)
        self.draws.append(draws)
        self.f.append(f)
        self.chances = self.chances + chance.nan_to_num().mean(1)

    @property
    def swap_acceptance(self) -> Tensor:
        """(K - 1,): the mean chance of a swap, whether it was tried or not."""
        assert isinstance(self.chances, Tensor)
        return self.chances / len(self.draws)


def warm_up(replicas: Replicas, rounds: int, free: bool) -> None:
    """Temperatures (where they are free) in windows that double, then step sizes."""
    for share in WINDOWS if free else ():
        replicas.ledger = Ledger(replicas.count, replicas.ledger.gradients)
        replicas.go(max(round(share * rounds), 1))
        betas = evenly(replicas.ladder.betas, replicas.ledger.swap_acceptance)
        replicas.ladder = replicas.ladder.on(betas)
    assert replicas.kernel.wanted_acceptance is not None
    average = DualAveraging(replicas.ladder.steps[1:], replicas.kernel.wanted_acceptance)
    replicas.go(max(round((1 - sum(WINDOWS) * free) * rounds), 1), average)
    replicas.ladder = replace(replicas.ladder, steps=_after_first(replicas.ladder.steps, average.final()))


def account(replicas: Replicas, n: int, trace: bool) -> Run:
    """The run, with n draws."""
    from fairway.samplers.diagnostics import ess_bulk, rhat

    ledger, ladder = replicas.ledger, replicas.ladder
    draws = torch.stack(ledger.draws)
    log_Z, error = stepping_stones(ladder.betas, torch.stack(ledger.f))
    assert ledger.trips is not None and isinstance(ledger.acceptance, Tensor)
    info: dict[str, Any] = {"betas": ladder.betas, "steps": ladder.steps, "swap_acceptance": ledger.swap_acceptance}
    info |= {"round_trips": ledger.trips.count, "rounds": len(draws), "log_Z_error": error}
    cold = ledger.acceptance[-replicas.rows.n :] / ledger.moves
    state = replace(replicas.state, u=draws[-1])
    gradients = ladder.gradients + ledger.gradients * (replicas.count - 1)
    run = Run(state, gradients, cold, ledger.divergences, draws if trace else None, log_Z=log_Z, info=info)
    run.samples = spread(draws, n)
    if len(draws) >= 4:
        run.rhat, run.ess = rhat(draws), ess_bulk(draws).clamp(max=float(n))
    return run


def spread(draws: Tensor, n: int) -> Tensor:
    """n of the draws (rounds, C, *U): of all chains, in rounds that lie evenly.

    >>> spread(torch.arange(12).reshape(6, 2), 4).tolist()
    [4, 5, 10, 11]
    """
    rounds, chains = draws.shape[:2]
    wanted = math.ceil(n / chains)
    picked = torch.arange(1, wanted + 1, device=draws.device) * rounds // wanted - 1
    return draws[picked].flatten(0, 1)[:n]


def _after_first(steps: Tensor, others: Tensor) -> Tensor:
    return torch.cat([steps[:1], others.to(steps)])
