"""What a tempered run must know before it starts: where its temperatures stand, and how a kernel moves at each.

    pi_beta = exp(beta f) q / Z_beta,   beta from 0 (the reference q) to 1 (the target)           `target.Tempered`

A pilot run walks up this path once. At each stop the kernel moves in coordinates in which the chains are round
(`whitening`) and comes to a step size; the next stop is the largest beta' for which the weights exp((beta' - beta) f)
of the chains are still worth a given share of them (`resampling.next_step`). So stops are dense where pi_beta changes
fast, at equal thermodynamic lengths: the share falls by as much between any two. They are then thinned or refined to as
many temperatures as a run wants, and the tuning is read off between stops.

A run that makes weights must not tune itself on the chains that it weighs, or its weights are no longer unbiased. So
the pilot's chains and noise are its own, and what it found is fixed before the run begins. A kernel without a
Metropolis test has nothing to be tuned by: it keeps its own step size, in model units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fairway.core.event import COUNTED
from fairway.core.numerics import expand_as_rows, log_mean_exp
from fairway.core.random import Rows
from fairway.samplers.driver import ChainError, noises
from fairway.samplers.kernel import Kernel, State, shape_of
from fairway.samplers.resampling import next_step
from fairway.samplers.target import Target, Tempered
from fairway.samplers.whitening import Whitening, quarter_turn

SHARE = 0.5  # of the chains that their weights are worth from one stop to the next
MOST = 200  # stops
CHAINS = 512  # of the pilot run
FEW = 16  # chains that tell too little of their weights and units
GENTLE = 16  # stops that few chains take, at least


@dataclass(frozen=True)
class Ladder:
    """Temperatures with the tuning of a kernel at each.

    Args:
        betas: (K,) float64, from 0 to 1.
        steps: (K,) step sizes, in the coordinates of each.
        means: (K, D). factors: (K, D, D) or (K, D): the coordinates, as in `Whitening`.
        log_Z: (K,) rough estimates by the pilot's chains, 0 at beta = 0.
        gradients: what the pilot cost, per chain of the run.
    """

    betas: Tensor
    steps: Tensor
    means: Tensor
    factors: Tensor
    log_Z: Tensor
    gradients: float = 0.0

    def __len__(self) -> int:
        return len(self.betas)

    def coordinates(self, k: int) -> Whitening:
        """In which the kernel moves at temperature k."""
        return Whitening(self.means[k], self.factors[k])

    def begin(self, kernel: Kernel, target: Target, u: Tensor, k: int) -> State:
        """Chains at u (B, *U), model units, under temperature k's tuning; `target` is in its coordinates."""
        state = kernel.init(target, kernel.lay_out(self.coordinates(k).to_round(u)))
        return quarter_turn(replace(state, step=self.steps[k].expand_as(state.step)))

    def spread(self, count: int) -> "Ladder":
        """As many temperatures as wanted, at equal parts of the way from stop to stop."""
        return self._read(torch.linspace(0, len(self) - 1, count, dtype=torch.float64))

    def on(self, betas: Sequence[float]) -> "Ladder":
        """At temperatures of your own."""
        given = torch.tensor(betas, dtype=torch.float64)
        after = torch.searchsorted(self.betas, given).clamp(1, len(self) - 1)
        low, high = self.betas[after - 1], self.betas[after]
        return replace(self._read(after - 1 + (given - low) / (high - low)), betas=given)

    def _read(self, place: Tensor) -> "Ladder":
        """At places (K',) counted in stops: betas and coordinates are linear between two, step sizes in logs."""
        before = place.floor().long().clamp(max=len(self) - 2)

        def between(values: Tensor) -> Tensor:
            start, end = values[before], values[before + 1]
            return torch.lerp(start, end, expand_as_rows(place - before, start).to(start))

        steps = between(self.steps.log()).exp()
        means, factors = between(self.means), between(self.factors)
        return Ladder(between(self.betas), steps, means, factors, between(self.log_Z), self.gradients)


def pilot(kernel: Kernel, path: Tempered, rows: Rows, *, warmup: int = 30, share: float = SHARE) -> Ladder:
    """Walk up the path once, from draws of the reference, ahead of a run of one chain per row.

    Where all chains have the same target, what the pilot finds does not depend on how many rows there are.

    Args:
        warmup: moves at each stop, in which the kernel comes to its step size.
        share: of the chains that their weights are worth from one stop to the next, in (0, 1).

    Raises:
        ValueError: a target without values (a score alone), or on discrete points.
        ChainError: a target whose density is zero, or not a number, wherever the chains are.
    """
    if path.target.log_prob is None or path.target.event.kind in COUNTED:
        raise ValueError("expected a target with a log density on real numbers: a path of densities needs its values")
    wanted, (path, rows) = rows.n, _own_chains(path, rows)
    u = path.reference.sample(rows.spawn(0), shape_of(path.target.event))
    betas, steps, places, log_Z, gradients = [0.0], [], [round_or_plain(kernel, u)], [0.0], 0.0
    step = u.new_tensor(kernel.step_size if kernel.wanted_acceptance is None else 1.0)
    while True:
        here = places[-1].target(path.at(betas[-1]))
        state = kernel.init(here, kernel.lay_out(places[-1].to_round(u)))
        state, spent = settle(
            kernel, here, replace(state, step=step.expand_as(state.step)), rows.spawn(len(betas)), warmup
        )
        u, step, gradients = places[-1].from_round(state.u), state.step[0], gradients + spent + 2
        steps.append(step)
        if betas[-1] >= 1:
            spent = gradients * rows.n / wanted
            return Ladder(_double(betas), torch.stack(steps), *_stacked(places), _double(log_Z), spent)
        f = path.f(u)
        living = revived(u, f)
        betas.append(1.0 if len(betas) == MOST else farther(f, betas[-1], share))
        log_weights = (betas[-1] - betas[-2]) * f.double().nan_to_num(nan=-math.inf)
        log_Z.append(log_Z[-1] + float(log_mean_exp(log_weights)))
        places.append(round_or_plain(kernel, u, torch.softmax(log_weights, 0)))
        u = living


def settle(kernel: Kernel, target: Target, state: State, rows: Rows, steps: int) -> tuple[State, float]:
    """So many moves, in which one step size for all chains comes to the acceptance that the kernel wants; the state
    with it, and gradients per chain.

    A Robbins-Monro search on the log step, with a gain that falls from 1; the answer is the mean of its second half.
    """
    log_step, kept, gradients = state.step[0].log(), [], 0.0
    for k, noise in enumerate(noises(kernel, target, rows, steps)):
        state = quarter_turn(replace(state, step=log_step.exp().expand_as(state.step)))
        state, info = kernel.step(target, state, noise)
        gradients += info.gradients
        if kernel.wanted_acceptance is not None:
            log_step = log_step + (info.acceptance.mean() - kernel.wanted_acceptance) / (1 + k / 5) ** 0.6
            kept.append(log_step)
    if not bool(torch.isfinite(state.u).all()):
        chain = int((~torch.isfinite(state.u)).flatten(1).any(1).nonzero()[0])
        raise ChainError(
            f"chain {chain} of the pilot run is no longer a number by step {steps} of a temperature: "
            "take a smaller step, or a kernel with a Metropolis test"
        )
    found = torch.stack(kept[len(kept) // 2 :]).mean().exp() if kept else state.step[0]
    return replace(state, step=found.expand_as(state.step)), gradients


def round_or_plain(kernel: Kernel, u: Tensor, weights: Tensor | None = None) -> Whitening:
    """Coordinates in which chains u (B, *U) are round; model units for few chains, or a kernel that does not adapt."""
    if kernel.wanted_acceptance is None or len(u) < FEW:
        return Whitening.standard(u)
    return Whitening.of(u, weights)


def revived(u: Tensor, f: Tensor) -> Tensor:
    """Chains outside the target's support, where f (B,) is minus infinity, go on from where others are.

    Raises:
        ChainError: there are no others.
    """
    alive = torch.isfinite(f).nonzero().squeeze(1)
    if len(alive) == len(f):
        return u
    if not len(alive):
        raise ChainError(
            f"the log density is not a finite number at the start (step 0) of chain 0, nor of any of {len(f)} draws of "
            "the reference: expected a density that is positive where the reference goes; take another std"
        )
    spare = alive[torch.arange(len(f), device=f.device) % len(alive)]
    return torch.where(expand_as_rows(torch.isfinite(f), u), u, u[spare])


def farther(f: Tensor, beta: float, share: float = SHARE) -> float:
    """The next stop after beta, for chains with f (B,); a few chains go up by the fourth power of sixteenths at most.

    >>> farther(torch.tensor([0.0, 1000.0]).repeat(50), 0.0, 0.9) < 0.001
    True
    """
    alive = torch.isfinite(f).sum()
    end = 1.0 if alive >= FEW else min(1.0, (beta**0.25 + 1 / GENTLE) ** 4)
    step = next_step(f, end - beta, share) if alive else end - beta
    return end if step == end - beta else beta + step


def _own_chains(path: Tempered, rows: Rows) -> tuple[Tempered, Rows]:
    """The pilot's chains; where each row has a target of its own, at most one for each of the first rows."""
    if path.target.part is None:
        return path, Rows(rows.seed, CHAINS, 0, rows.dtype, rows.device)
    few = min(rows.n, CHAINS)
    first = torch.arange(few, device=rows.device)
    return replace(path, target=path.target.chains(first)), Rows(rows.seed, few, 0, rows.dtype, rows.device)


def _double(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _stacked(places: list[Whitening]) -> tuple[Tensor, Tensor]:
    """Means and factors; all full where one is."""
    factors = [p.factor for p in places]
    if any(f.ndim == 2 for f in factors):
        factors = [f if f.ndim == 2 else f.diag() for f in factors]
    return torch.stack([p.mean for p in places]), torch.stack(factors)
