"""Sequential Monte Carlo: a population that follows the path from a reference to the target, and weighs it.

    pi_beta = exp(beta f) q / Z_beta,    f = l - log q,    beta: 0 -> 1

    reweigh     w = exp((beta' - beta) f), and  Z <- Z mean(w);  beta' is where the effective share of the weights falls
                to a given value (Zhou, Johansen & Aston 2016)
    resample    particles in proportion to w, systematically
    move        a kernel that leaves pi_beta' invariant, until the particles have forgotten where they started

(Del Moral, Doucet & Jasra 2006.) Z is unbiased for the integral of exp(l) once the tuning is given.

Where q is far from the target, every temperature on the way adds to the error, and a population that learns its own
coordinates (`whitening`) while it moves is biased by as much as d^2 / N. So a small pilot population goes first, from
q = N(0, std^2 I), learning as it goes; the one that counts starts from q = N(m, 2 C), m and C the pilot's mean and
covariance, moves in coordinates in which that is N(0, I), and adapts its step size and temperatures alone.

The population is made of islands that exchange nothing on the way: each has its own estimate Z_m, independent but for
the tuning, and the standard error of Z = mean Z_m is sd(Z_m) / sqrt(M). At the end the draws are taken from all islands
in proportion to Z_m. A density of zero or NaN is a weight of zero.
"""

import math

from torch import Tensor

from fairway.core.random import Rows
from fairway.samplers.driver import PathDriver, Run, noises
from fairway.samplers.kernel import Kernel, shape_of
from fairway.samplers.population import ISLAND, Mover, Population, in_parts
from fairway.samplers.target import Target, Tempered
from fairway.samplers.whitening import ENOUGH, Whitening

PILOT_SHARE = 0.5  # of a population that need not be exact
WIDER = math.sqrt(2)  # the reference over the pilot population, in standard deviations


class SMC(PathDriver):
    """Sequential Monte Carlo with adaptive temperatures, moves, units and reference.

    Starting points are not used: particles are drawn from the reference.

    Args:
        particles: at least so many (a multiple of 64, in islands of 64); n draws are taken from max(n, particles).
        pilot: particles of the pilot population (more in more than 50 dimensions); 0 to start from N(0, std^2 I) and
            learn the coordinates on the way.
        share: effective share of the weights from one temperature to the next.
        moves: moves of every particle at one temperature, at most.
        std: of the first reference, N(0, std^2 I).

    `Draws.log_Z` is in nats, its standard error in `Draws.info["log_Z_error"]`; `info` also has "betas", "shares",
    "acceptances" and "moves" of every temperature, and "island_log_Z".

    >>> import math
    >>> from fairway.samplers import draw
    >>> draws = draw(lambda u: -0.5 * (u - 2).square().sum(1), 1000, 2, sampler="smc", generator=0)
    >>> error = draws.info["log_Z_error"]
    >>> abs(draws.log_Z - math.log(2 * math.pi)) < 4 * error < 0.2
    True
    """

    shared = True

    def __init__(
        self, particles: int = 8192, pilot: int = 512, share: float = 0.7, moves: int = 20, std: float = 1.0
    ) -> None:
        if not 0 < share < 1 or moves < 1 or std <= 0:
            raise ValueError(f"expected 0 < share < 1, moves >= 1 and std > 0, got {share}, {moves}, {std}")
        if particles <= ISLAND or pilot < 0:
            raise ValueError(f"expected more than {ISLAND} particles and pilot >= 0, got {particles=}, {pilot=}")
        self.particles, self.pilot, self.share, self.moves, self.std = particles, pilot, share, moves, std

    def chains(self, n: int) -> int:
        return _whole_islands(max(n, self.particles))

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
        """As `Driver.run`; u says how many particles there are and what one looks like.

        Raises:
            ValueError: a kernel without a Metropolis test, which would move the particles to another law.
            ChainError: a density that is nowhere positive, or infinite; too many temperatures.
        """
        if kernel.wanted_acceptance is None:
            raise ValueError(f"SMC expects a kernel with a Metropolis test, got {kernel.name()}")
        target = in_parts(target)
        coordinates, spent = Whitening.standard(u, self.std), 0.0
        if self.pilot:
            size = _whole_islands(max(self.pilot, min(ENOUGH * u[0].numel(), rows.n)))
            few = Rows(rows.spawn(1).seed, size, 0, rows.dtype, rows.device)
            pilot = self._follow(kernel, coordinates, target, few, learn=True)
            spent = pilot.mover.gradients * few.n / rows.n
            coordinates = Whitening.of(pilot.positions).wider(WIDER)
        run = self._follow(kernel, coordinates, target, rows.spawn(0), learn=not self.pilot, trace=trace)
        return run.account(n or len(u), spent)

    def _follow(
        self, kernel: Kernel, coordinates: Whitening, target: Target, rows: Rows, *, learn: bool, trace: bool = False
    ) -> "Population":
        """A population that has gone from N(0, I) in the given coordinates to the target."""
        path = Tempered(coordinates.target(target))
        u = path.reference.sample(rows.spawn(0), shape_of(target.event))
        mover = Mover(kernel, path, noises(kernel, target, rows.spawn(1), 10**9), self.moves)
        population = Population(u, coordinates, mover, rows.shared(2), [u] if trace else None)
        while population.beta < 1:
            population.go_on(path, min(self.share, PILOT_SHARE) if learn and self.pilot else self.share, learn)
        return population


def _whole_islands(particles: int) -> int:
    return math.ceil(particles / ISLAND) * ISLAND
