"""Annealed importance sampling: anneal, and let the weights say what the annealing got wrong.

    log w = sum_k log pi_k(u_(k-1)) - log pi_(k-1)(u_(k-1)),    u_0 ~ q,    u_k from u_(k-1) by moves that keep pi_k

with log pi_k = log q + beta_k f, unnormalised. However short the moves, E w = Z, the integral of the target's
exp(log_prob), and E[w h(u)] = Z E_p h (Neal 2001): the weighted draws are right where plain annealing is not. How much
they vary depends on how many temperatures there are; the effective number of draws says whether there were enough.

    forward    from q up      log mean w          below log Z on average, P(log mean w > log Z + b) < e^-b
    reverse    from exact draws of the target down to q,  E 1/w' = 1/Z:   -log mean 1/w' is above, likewise

The two together are a bracket on log Z (bidirectional Monte Carlo; Grosse, Ghahramani & Adams 2015). The moves must
keep pi_k, so a kernel without a Metropolis test brings a bias that no weight knows of, and the driver warns. The
temperatures and the tuning at each are those of a pilot run with chains of its own, fixed before weights are made.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.core.random import Rows, Seed, seed_of
from fairway.samplers.annealing import anneal, check_betas, plan
from fairway.samplers.driver import Book, PathDriver, Run
from fairway.samplers.kernel import Kernel, shape_of
from fairway.samplers.pilot import Ladder
from fairway.samplers.target import Reference, Target, Tempered
from fairway.samplers.weights import MeanWeight, mean_weight


class AIS(PathDriver):
    """Annealed importance sampling from a reference q, from where chains are drawn (starting points are not used).

    The draws carry `log_weights` and mean little without them; `samplers.resampled(draws)` makes them equal. `log_Z`
    is a lower bound on average, with its standard error in `info["log_Z_error"]` and the effective number of draws in
    `info["ess"]`.

    Args:
        temperatures: how many, or betas that rise from 0 to 1.
        steps: moves at each.
        warmup: moves of the pilot run at each of its stops.
        std: q is N(0, std^2 I), model units: wide enough to cover the target; None for the target's own reference
            (what an energy model tilts), or N(0, I).

    >>> import math
    >>> from fairway.samplers import HMC, MCMC, draw
    >>> draws = draw(lambda u: -0.5 * (2 * u - 6).square().sum(1), 500, 2, sampler=MCMC(HMC(), AIS(50)), generator=0)
    >>> exact = math.log(2 * math.pi / 4)
    >>> abs(draws.log_Z - exact) < 3 * draws.info["log_Z_error"] < 0.3
    True
    """

    def __init__(
        self, temperatures: int | Sequence[float] = 200, steps: int = 1, warmup: int = 30, std: float | None = None
    ) -> None:
        check_betas(temperatures)
        if min(steps, warmup) < 1 or (std is not None and std <= 0):
            raise ValueError(f"expected steps, warmup >= 1 and std > 0, got {steps}, {warmup}, {std}")
        self.temperatures, self.steps, self.warmup, self.std = temperatures, steps, warmup, std

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
        """As `Driver.run`; `trace` keeps the last state under each temperature."""
        ladder = self.ladder(kernel, target, rows.spawn(0))
        return self.forward(kernel, target, rows.spawn(1), ladder, trace)

    def path(self, target: Target) -> Tempered:
        """From q to the target."""
        own = target.reference if self.std is None else Reference(std=self.std)
        return Tempered(target, own or Reference())

    def ladder(self, kernel: Kernel, target: Target, rows: Rows) -> Ladder:
        """Temperatures and tuning, by a pilot run of as many chains."""
        if kernel.wanted_acceptance is None:
            warnings.warn(
                f"{kernel.name()} makes moves without a Metropolis test, so the weights and log Z have a bias that "
                "their errors do not show; take metropolis=True, HMC or NUTS",
                stacklevel=4,
            )
        return plan(kernel, self.path(target), rows, self.temperatures, self.warmup)

    def forward(self, kernel: Kernel, target: Target, rows: Rows, ladder: Ladder, trace: bool = False) -> Run:
        """From q up: draws of the target with their weights, and log Z from below on average."""
        path = self.path(target)
        start = path.reference.sample(rows.spawn(0), shape_of(target.event))
        run, log_weights = self._travel(kernel, path, start, rows.spawn(1), ladder, range(1, len(ladder)), trace)
        found = mean_weight(log_weights)
        run.log_weights, run.log_Z = log_weights, found.log_mean
        run.info |= {"log_Z_error": found.error, "ess": found.ess}
        return run

    def reverse(self, kernel: Kernel, target: Target, exact: Tensor, rows: Rows, ladder: Ladder) -> Run:
        """From exact draws of the target (B, *U) down to q: draws of q, and log Z from above on average."""
        order = range(len(ladder) - 2, -1, -1)
        run, log_weights = self._travel(kernel, self.path(target), exact, rows, ladder, order)
        found = mean_weight(log_weights)
        run.log_weights, run.log_Z = log_weights, -found.log_mean
        run.info |= {"log_Z_error": found.error, "ess": found.ess}
        return run

    def _travel(
        self, kernel: Kernel, path: Tempered, u: Tensor, rows: Rows, ladder: Ladder, order: range, trace: bool = False
    ) -> tuple[Run, Tensor]:
        book = Book(0, self.steps if trace else 0)
        state, log_weights = anneal(kernel, path, u, ladder, rows, order=order, steps=self.steps, book=book)
        cost = 1 + ladder.gradients + book.gradients
        info: dict[str, Any] = {"betas": ladder.betas, "steps": ladder.steps}
        states = torch.stack(book.kept) if trace else None
        return Run(state, cost, book.acceptance, book.divergences, states, info=info), log_weights


@dataclass(frozen=True)
class Bracket:
    """log Z from both sides, nats; on average `lower.log_mean` <= log Z <= -`upper.log_mean`.

    Args:
        forward: mean weight of the chains that went up, E = Z.
        backward: mean weight of the chains that came down, E = 1 / Z.
    """

    forward: MeanWeight
    backward: MeanWeight

    @property
    def lower(self) -> float:
        """Below log Z on average."""
        return self.forward.log_mean

    @property
    def upper(self) -> float:
        """Above log Z on average."""
        return -self.backward.log_mean

    @property
    def gap(self) -> float:
        """upper - lower: what is not known of log Z, on average."""
        return self.upper - self.lower


def bracket(
    target: Target,
    exact: Tensor,
    *,
    kernel: Kernel | None = None,
    driver: AIS | None = None,
    generator: Seed = None,
) -> Bracket:
    """log Z from below and from above, by annealed importance sampling in both directions on the same temperatures.

    Args:
        target: unnormalised; for a model `Target.of(model)`.
        exact: (n, *U) exact draws of it, model units. Draws of a long chain are nearly exact: the upper end is then as
            good as they are.
        kernel: None for HMC. driver: None for `AIS()`.
        generator: seed.

    >>> import math
    >>> from fairway.core.event import Event
    >>> target = Target(lambda u: -2 * u.square().sum(1), event=Event((2,)))
    >>> exact = Rows(0, 300, dtype=torch.float64).normal(2) / 2
    >>> found = bracket(target, exact, driver=AIS(20), generator=0)
    >>> found.gap < 0.2 and abs(found.lower - math.log(math.pi / 2)) < 0.1
    True
    """
    if kernel is None:
        from fairway.samplers.hmc import HMC

        kernel = HMC()
    driver = driver or AIS()
    rows = Rows(seed_of(generator), len(exact), 0, target.dtype, target.device)
    exact = exact.to(target.device, target.dtype)
    ladder = driver.ladder(kernel, target, rows.spawn(0))
    up = driver.forward(kernel, target, rows.spawn(1), ladder)
    down = driver.reverse(kernel, target, exact, rows.spawn(2), ladder)
    assert up.log_weights is not None and down.log_weights is not None
    return Bracket(mean_weight(up.log_weights), mean_weight(down.log_weights))
