"""Simulated annealing: start where it is easy, and turn the target up.

    pi_beta = exp(beta f) q / Z_beta,   q = N(0, std^2 I),   f = log p - log q;    beta = 0, ..., 1

beta = 0 is q, from which the chains are drawn exactly, and beta = 1 is the target itself. At every temperature the
chains take a few steps of the kernel under pi_beta; what ends at beta = 1 goes on there for a while and is the draw
(Kirkpatrick, Gelatt & Vecchi 1983, with sampling at beta = 1 instead of a minimum at infinity).

Chains find all modes, since at small beta there are no barriers; but the share of each mode is that of the temperature
at which the barriers closed, not its weight: where the modes have weights 1:...:8, the shares come out nearly equal.
More steps do not cure it; the weights of `ais`, the resampling of `smc`, or exchange (`parallel_tempering`) do.

Temperatures and the step size at each come from a pilot run (`pilot`), fixed before the chains that are kept start.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from fairway.core.random import Rows
from fairway.samplers.driver import Book, ChainError, PathDriver, Run, noises
from fairway.samplers.kernel import Kernel, State
from fairway.samplers.pilot import Ladder, pilot, revived
from fairway.samplers.target import Reference, Target, Tempered


def anneal(
    kernel: Kernel, path: Tempered, u: Tensor, ladder: Ladder, rows: Rows, *, order: range, steps: int, book: Book
) -> tuple[State, Tensor]:
    """Take chains through temperatures of a ladder, with so many steps at each.

    Args:
        u: (B, *U) chains under the temperature before the first of `order`.
        order: temperatures, by their place on the ladder.

    Returns:
        The state at the end, and sum_k log pi_k(u) - log pi_(k-1)(u) (B,), u where a chain stood when its temperature
        changed and both unnormalised, nats: the log weight of annealed importance sampling. Minus infinity where a
        chain stood outside the support.

    Raises:
        ChainError: names a chain that cannot start or go on, and the step.
    """
    noise = noises(kernel, path.target, rows, steps * len(order))
    log_weights = torch.zeros(len(u), dtype=torch.float64, device=u.device)
    value = path.at(float(ladder.betas[order.start - order.step])).value(u)
    check_value(value)
    for k in order:
        places = ladder.coordinates(k)
        here = places.target(path.at(float(ladder.betas[k])))
        state = ladder.begin(kernel, here, u, k)
        log_weights = log_weights + torch.nan_to_num(state.value.double() - value.double(), nan=-math.inf)
        book.gradients += 1
        for _ in range(steps):
            state, info = kernel.step(here, state, next(noise))
            u = places.from_round(state.u)
            book.record(replace(state, u=u), info)
        value = state.value
    book.close_block()
    return replace(state, u=u), log_weights


def plan(kernel: Kernel, path: Tempered, rows: Rows, betas: int | Sequence[float] | None, warmup: int) -> Ladder:
    """Temperatures and tuning by a pilot run: so many, or given ones, or those where the pilot stopped."""
    ladder = pilot(kernel, path, rows, warmup=warmup)
    if betas is None:
        return ladder
    return ladder.spread(betas) if isinstance(betas, int) else ladder.on(betas)


def check_value(value: Tensor) -> None:
    """Whether chains (B,) start where the density is a number.

    Raises:
        ChainError: names the first that does not.
    """
    bad = (~torch.isfinite(value)).nonzero()
    if len(bad):
        chain = int(bad[0])
        raise ChainError(
            f"the log density at the start (step 0) of chain {chain} is {float(value[chain])}: expected a number; "
            "start inside the support"
        )


def check_betas(betas: int | Sequence[float] | None) -> None:
    """Whether they lead from 0 to 1.

    Raises:
        ValueError: they do not.
    """
    if betas is None:
        return
    if isinstance(betas, int):
        if betas < 2:
            raise ValueError(f"expected at least two temperatures, 0 and 1, got {betas}")
    elif len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or any(a >= b for a, b in pairwise(betas)):
        raise ValueError(f"expected betas that rise from 0 (the reference) to 1 (the target), got {list(betas)}")


class Annealed(PathDriver):
    """Simulated annealing from N(0, std^2 I), from where chains are drawn (starting points are not used).

    Args:
        betas: how many temperatures, or the temperatures from 0 to 1; None lets the pilot run place them.
        steps: moves at each temperature.
        final: moves at beta = 1 whose last state is the draw.
        warmup: moves of the pilot run at each of its stops.
        std: standard deviation of q, model units.

    >>> from fairway.samplers import Langevin, MCMC, draw
    >>> draws = draw(lambda u: -2 * (u.abs() - 2).square().sum(1), 400, 2,
    ...              sampler=MCMC(Langevin(metropolis=True), Annealed()), generator=0)
    >>> round(float((draws.samples > 0).double().mean()), 1)
    0.5
    """

    def __init__(
        self,
        betas: int | Sequence[float] | None = None,
        steps: int = 30,
        final: int = 100,
        warmup: int = 30,
        std: float = 1.0,
    ) -> None:
        check_betas(betas)
        if min(steps, final, warmup) < 1 or std <= 0:
            raise ValueError(f"expected steps, final, warmup >= 1 and std > 0, got {steps}, {final}, {warmup}, {std}")
        self.betas, self.steps, self.final, self.warmup, self.std = betas, steps, final, warmup, std

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
        path = Tempered(target, Reference(std=self.std))
        ladder = plan(kernel, path, rows.spawn(0), self.betas, self.warmup)
        way, last, top = Book(0), Book(self.final, int(trace)), len(ladder) - 1
        start = path.reference.sample(rows.spawn(1), tuple(u.shape[1:]))
        start = revived(start, path.f(start))
        state, _ = anneal(
            kernel, path, start, ladder, rows.spawn(2), order=range(1, top + 1), steps=self.steps, book=way
        )
        state, _ = anneal(
            kernel, path, state.u, ladder, rows.spawn(3), order=range(top, top + 1), steps=self.final, book=last
        )
        cost = 1 + ladder.gradients + way.gradients + last.gradients
        states = torch.stack(last.kept) if trace else None
        info = {"betas": ladder.betas, "steps": ladder.steps}
        return Run(state, cost, last.acceptance, way.divergences + last.divergences, states, last.statistics, info=info)
