"""Who runs the chains: a driver draws the noise, calls the kernel and keeps the books.

    Fixed     a warm-up, then a fixed number of steps; every chain ends as one draw
    Long      a few chains, a warm-up, then many draws of each

The noise of several steps is drawn ahead in one call per block of 64 chains; it is the same noise as drawn step by
step, so how far ahead is a matter of speed alone. Long chains keep statistics, not every state, unless a trace is asked
for. A chain that leaves the numbers (a step too large for an unadjusted kernel, a log density that is NaN) stops the
run with an error that names the chain and the step.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasEnergy
from fairway.core.config import Configurable
from fairway.core.random import Rows
from fairway.core.sampler import Sampler
from fairway.samplers.diagnostics.statistics import Statistics
from fairway.samplers.kernel import Kernel, Noise, State
from fairway.samplers.target import Target

AHEAD = 2**17  # numbers of noise drawn in one go, at most
BLOCK = 32  # states between two looks at them
SHORT = 20  # steps under which chains say nothing about themselves


class ChainError(RuntimeError):
    """A chain that cannot go on; the message names the chain and the step."""


@dataclass
class Run:
    """A finished run.

    Args:
        state: where the chains ended.
        gradients: gradients asked for, mean over chains.
        acceptance: (B,) mean of each chain, 1 without a test.
        divergences: moves that did not follow the density, over all chains.
        trace: (steps, B, *U) where asked for.
        statistics: of the states that were passed, where they make sense.
        samples: the draws, where they are not the last states.
        log_weights, log_Z: where the driver makes them.
        rhat, ess: (*U,) of the draws, where the driver knows them better than the statistics of single chains.
        info: anything else, by name.
    """

    state: State
    gradients: float
    acceptance: Tensor
    divergences: int = 0
    trace: Tensor | None = None
    statistics: Statistics | None = None
    samples: Tensor | None = None
    log_weights: Tensor | None = None
    log_Z: float | None = None
    rhat: Tensor | None = None
    ess: Tensor | None = None
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def draws(self) -> Tensor:
        """(n, *U)."""
        return self.state.u if self.samples is None else self.samples


class Driver(Configurable, ABC):
    """Runs a kernel."""

    role: ClassVar[str] = "sampler"
    coupled: ClassVar[bool] = False  # chains depend on one another, so draws depend on their number
    shared: ClassVar[bool] = False  # draws share chains, so all have the same context
    takes_start: ClassVar[bool] = True  # chains start where they are told; False: at the driver's own reference

    def chains(self, n: int) -> int:
        """How many chains make n draws."""
        return n

    @property
    def requires(self) -> tuple[type[Capability], ...]:
        """Capabilities of the model that this driver asks, besides the kernel's."""
        return ()

    def as_sampler(self) -> Sampler:
        """The driver with a kernel that suits most densities, Hamiltonian Monte Carlo."""
        from fairway.samplers.hmc import HMC
        from fairway.samplers.mcmc import MCMC

        return MCMC(HMC(), self)

    @abstractmethod
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
        """Run one chain per row of u (B, *U).

        Args:
            step: step sizes (B,), or a scalar, where they are known already.
            trace: keep the states after warm-up.
            n: draws wanted, where they are not one of each chain.

        Raises:
            ChainError: names the chain and the step.
        """


class PathDriver(Driver):
    """A driver that follows a path of densities from a reference of its own, N(0, std^2 I), to the target: all chains
    together, and by values of the density."""

    coupled = True
    takes_start = False

    @property
    def requires(self) -> tuple[type[Capability], ...]:
        return (HasEnergy,)


class Book:
    """What is written down while chains move.

    Args:
        steps: how many steps will be recorded.
        keep: keep every `keep`-th state, 0 for none.
    """

    def __init__(self, steps: int, keep: int = 0) -> None:
        self.keep, self.seen, self.gradients = keep, 0, 0.0
        self.statistics = Statistics(steps) if steps >= SHORT else None
        self.kept: list[Tensor] = []
        self._accepted: Tensor | None = None
        self._block: list[Tensor] = []
        self._accepts: list[Tensor] = []
        self._diverges: list[Tensor] = []
        self._divergences = 0

    def record(self, state: State, info: Any) -> None:
        """One step."""
        self.seen += 1
        self.gradients += info.gradients
        self._block.append(state.u)
        self._accepts.append(info.acceptance)
        if info.divergent is not None:
            self._diverges.append(info.divergent)
        if self.keep and self.seen % self.keep == 0:
            self.kept.append(state.u)
        if len(self._block) == BLOCK:
            self.close_block()

    def close_block(self) -> None:
        """Put the states since the last call into the statistics; all must be numbers.

        Raises:
            ChainError: names the first chain and step that are not.
        """
        if not self._block:
            return
        last = self._block[-1]
        if last.is_floating_point() and not bool(torch.isfinite(last).all()):  # what is lost once stays lost
            _refuse_nonfinite(torch.stack(self._block), self.seen - len(self._block))
        if self.statistics is not None:
            self.statistics.update(self._block)
        accepted = torch.stack(self._accepts).sum(0)
        self._accepted = accepted if self._accepted is None else self._accepted + accepted
        if self._diverges:
            self._divergences += int(torch.stack(self._diverges).sum())
        self._block, self._accepts, self._diverges = [], [], []

    @property
    def divergences(self) -> int:
        """Over all chains and the steps recorded."""
        self.close_block()
        return self._divergences

    @property
    def acceptance(self) -> Tensor:
        """(B,) mean of each chain, over the steps recorded."""
        self.close_block()
        assert self._accepted is not None
        return self._accepted / self.seen


def _refuse_nonfinite(block: Tensor, before: int) -> None:
    bad = (~torch.isfinite(block)).flatten(2).any(2).nonzero()
    if len(bad):
        step, chain = (int(i) for i in bad[0])
        raise ChainError(
            f"chain {chain} is no longer a number at step {before + step + 1}: expected finite positions; take "
            "a smaller step, a kernel with a Metropolis test, or look for NaN in the density"
        )


def check_start(target: Target, state: State) -> None:
    """Whether the density can be asked where the chains start.

    Raises:
        ChainError: names the first chain whose log density, or gradient, is not a number there.
    """
    if target.log_prob is not None:
        bad = (~torch.isfinite(state.value)).nonzero()
        if len(bad):
            chain = int(bad[0])
            raise ChainError(
                f"the log density at the start (step 0) of chain {chain} is {float(state.value[chain])}: expected a "
                f"number; start inside the support (init=...). {len(bad)} of {len(state.value)} chains start like this"
            )
    bad = (~torch.isfinite(state.grad)).flatten(1).any(1).nonzero() if state.grad.numel() else state.value[:0]
    if len(bad):
        raise ChainError(f"the gradient at the start (step 0) of chain {int(bad[0])} is not finite")


def check_moves(kernel: Kernel, state: State, acceptance: Tensor, steps: int) -> None:
    """Whether chains moved at all.

    Raises:
        ChainError: every proposal of every chain was refused.
    """
    if kernel.wanted_acceptance is not None and steps >= 20 and float(acceptance.max()) < 1e-8:
        raise ChainError(
            f"no chain accepted any of its {steps} moves (chain 0 proposed with step size {float(state.step[0]):.3g} "
            f"to the end, step {steps}): expected some acceptance; take a smaller step or a warm-up"
        )


def noises(kernel: Kernel, target: Target, rows: Rows, steps: int) -> Iterator[Noise]:
    """The noise of one step after the other, each named source a stream of its own; drawn ahead in pieces."""
    draw, width = noise_ahead(kernel, target, rows)
    done = 0
    while done < steps:
        count = min(max(AHEAD // (rows.n * width), 1), steps - done, 64)
        drawn = draw(count)
        for k in range(count):
            yield {name: values[k] for name, values in drawn.items()}
        done += count


def noise_ahead(kernel: Kernel, target: Target, rows: Rows) -> tuple[Callable[[int], Noise], int]:
    """What draws the noise of the next so many steps at once, name -> (steps, B, ...); and its numbers per chain."""
    sources = [(name, law, shape, rows.spawn(i)) for i, (name, (law, shape)) in enumerate(kernel.noise(target).items())]
    shared = {name: rows.shared(i) for i, (name, law, _, _) in enumerate(sources) if law == "common"}

    def draw(count: int) -> Noise:
        return {
            name: torch.rand(count, generator=shared[name], dtype=rows.dtype)
            if law == "common"
            else _laid_out(kernel, stream.ahead(law, count, *shape))
            for name, law, shape, stream in sources
        }

    return draw, max(sum(torch.Size(shape).numel() for _, _, shape, _ in sources), 1)


def _laid_out(kernel: Kernel, noise: Tensor) -> Tensor:
    """(steps, B, ...) with the chain axis last in memory, where the kernel wants it so."""
    return kernel.lay_out(noise.movedim(1, 0)).movedim(0, 1)


def warm_up(kernel: Kernel, target: Target, state: State, rows: Rows, steps: int) -> tuple[State, float]:
    """Adapt for so many steps (none where the kernel has nothing to adapt); the state, and gradients per chain."""
    adaptation = kernel.adaptation(state, steps) if steps else None
    if adaptation is None:
        return state, 0.0
    state, gradients = adaptation.begin(state), 0.0
    for noise in noises(kernel, target, rows, steps):
        after, info = kernel.step(target, state, noise)
        state, gradients = adaptation.update(state, after, info), gradients + info.gradients
    return adaptation.final(state), gradients


def advance(
    kernel: Kernel, target: Target, state: State, rows: Rows, steps: int, book: Book | None = None
) -> tuple[State, Book]:
    """So many steps with the tuning fixed, written into a book."""
    book = book or Book(steps)
    for noise in noises(kernel, target, rows, steps):
        state, info = kernel.step(target, state, noise)
        book.record(state, info)
    book.close_block()
    return state, book


class Fixed(Driver):
    """A fixed number of steps; n chains make n draws.

    Args:
        steps: moves whose last state is the draw.
        warmup: moves before them, in which the kernel adapts (one that has nothing to adapt skips it).
    """

    def __init__(self, steps: int = 300, warmup: int = 200) -> None:
        if steps < 1 or warmup < 0:
            raise ValueError(f"expected steps >= 1 and warmup >= 0, got steps={steps}, warmup={warmup}")
        self.steps, self.warmup = steps, warmup

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
        state = begin(kernel, target, u, step)
        state, spent = warm_up(kernel, target, state, rows.spawn(0), self.warmup)
        state, book = advance(kernel, target, state, rows.spawn(1), self.steps, Book(self.steps, int(trace)))
        check_moves(kernel, state, book.acceptance, self.steps)
        states = torch.stack(book.kept) if trace else None
        cost = 1 + spent + book.gradients
        return Run(state, cost, book.acceptance, book.divergences, states, book.statistics)


class Long(Driver):
    """A few long chains, many draws of each: what a posterior asks for.

    Args:
        chains: how many; n draws take n / chains of each, in the order draw by draw.
        warmup: moves before the first draw, in which the kernel adapts.
        thin: moves between two draws of a chain.
    """

    coupled = shared = True

    def __init__(self, chains: int = 16, warmup: int = 300, thin: int = 1) -> None:
        if chains < 1 or warmup < 0 or thin < 1:
            raise ValueError(f"expected chains >= 1, warmup >= 0, thin >= 1; got {chains}, {warmup}, {thin}")
        self.parallel, self.warmup, self.thin = chains, warmup, thin

    def chains(self, n: int) -> int:
        return min(self.parallel, n)

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
        """As `Driver.run`; n draws in all (one of each chain when None)."""
        draws = -(-(n or len(u)) // len(u))
        state = begin(kernel, target, u, step)
        state, spent = warm_up(kernel, target, state, rows.spawn(0), self.warmup)
        state, book = advance(
            kernel, target, state, rows.spawn(1), draws * self.thin, Book(draws * self.thin, self.thin)
        )
        check_moves(kernel, state, book.acceptance, draws * self.thin)
        kept = torch.stack(book.kept)
        run = Run(state, 1 + spent + book.gradients, book.acceptance, book.divergences, kept, book.statistics)
        run.samples = kept.flatten(0, 1)[: n or len(u)]
        return run


def begin(kernel: Kernel, target: Target, u: Tensor, step: Tensor | None = None) -> State:
    """Chains that stand at u, checked, with the step sizes given.

    Raises:
        ChainError: names a chain that cannot start.
    """
    state = kernel.init(target, kernel.lay_out(u))
    check_start(target, state)
    return state if step is None else replace(state, step=step.expand(len(u)))
