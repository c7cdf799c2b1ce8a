"""Markov chain Monte Carlo as a sampler: a target, a kernel, a driver.

    Target    u (B, *U) -> log p(u) + const (B,) nats, and its gradient            samplers.target
    Kernel    init(target, u) -> State;   step(target, state, noise) -> State      samplers.kernel; langevin, hmc, ...
    Driver    warm-up, steps, temperatures, weights, books                         samplers.driver; annealing, smc, ...

`MCMC(kernel, driver)` draws from any model that has an energy or a score; a kernel given as `sampler=` is wrapped into
it, n independent chains, one row each. `draw` runs it on a log density of your own, and there a kernel runs a few long
chains, as a posterior wants. Chains are rows: each has its own noise, so kernels and drivers that do not couple chains
give draws that do not depend on how rows are batched, and n draws are a prefix of n + m; those that do (`coupled`: HMC
and NUTS adapt over all chains, SMC and tempering exchange) promise the same draws for the same seed and n.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import Capability
from fairway.core.random import Rows, Seed, seed_of
from fairway.core.sampler import Draws, Sampler, as_sampler
from fairway.samplers.driver import Driver, Fixed, Long, Run
from fairway.samplers.kernel import Kernel
from fairway.samplers.target import Target, function_target


class MCMC(Sampler):
    """Chains of a kernel under a driver.

    Chains start at `init`, else where the target says (an energy model's persistent chains), else at N(0, I).

    Args:
        kernel: how a chain moves.
        driver: who runs it; None for n chains of 200 + 300 steps.

    >>> from fairway.samplers import HMC, Long, draw
    >>> draws = draw(lambda u: -0.5 * (u / 3).square().sum(1), 2000, 2, sampler=MCMC(HMC(), Long()), generator=0)
    >>> bool((draws.rhat < 1.02).all()), round(float(draws.samples.std()))
    (True, 3)
    """

    def __init__(self, kernel: Kernel, driver: Driver | None = None) -> None:
        self.kernel, self.driver = kernel, driver or Fixed()
        self.coupled = kernel.coupled or self.driver.coupled  # type: ignore[misc]

    @property
    def requires(self) -> tuple[type[Capability], ...]:  # type: ignore[override]
        """What the kernel asks of a model, and the driver."""
        return tuple(dict.fromkeys((*self.kernel.requires, *self.driver.requires)))

    def run(
        self,
        model: Any,
        n: int,
        *,
        context: Tensor | None = None,
        generator: Rows,
        init: Tensor | None = None,
        trace: bool = False,
    ) -> Draws:
        """As `Sampler.run`, on a model or a `Target`; `trace` keeps the states after warm-up, (steps, chains, *U).

        Raises:
            ChainError: a chain that cannot start or go on; names the chain and the step.
            ValueError: starting points that do not fit.
        """
        if init is not None and not self.driver.takes_start:
            raise ValueError(f"{self.driver.name()} starts from its reference, N(0, std^2): expected no init")
        chains = self.driver.chains(n)
        given = _one_for_all(context) if self.driver.shared else context
        target = model if isinstance(model, Target) else Target.of(model, given)
        rows = generator if chains == n else Rows(generator.seed, chains, 0, generator.dtype, generator.device)
        u = target.starts(rows.spawn(0)) if init is None else _fitting(init, chains, target)
        with nullcontext() if isinstance(model, Target) else frozen(model):
            run = self.driver.run(self.kernel, target, u, rows.spawn(1), trace=trace, n=n)
        return self._account(run, n, trace)

    def _account(self, run: Run, n: int, trace: bool) -> Draws:
        chains, samples = len(run.state.u), run.draws
        rhat, ess = _agreement(run)
        return Draws(
            samples,
            run.gradients * chains / len(samples),
            log_weights=run.log_weights,
            log_Z=run.log_Z,
            ess=ess,
            rhat=rhat,
            acceptance=float(run.acceptance.mean()) if self.kernel.wanted_acceptance is not None else None,
            divergences=run.divergences,
            n_grad=round(run.gradients * chains),
            effective_temperature=self.kernel.effective_temperature,
            trace=run.trace if trace else None,
            info={"step": run.state.step, **run.info},
        )


def draw(
    target: Any,
    n: int = 16_000,
    shape: tuple[int, ...] | int | None = None,
    *,
    sampler: Any = "nuts",
    generator: Seed = None,
    init: Tensor | None = None,
    trace: bool = False,
) -> Draws:
    """Draws from a log density, a `Target` or a model, in its own units.

    Args:
        target: a function u (B, *shape) -> log density (B,), nats, up to a constant; or a `Target`; or a model.
        n: draws; where a kernel is given as the sampler, it runs under `Long`: 16 chains with n / 16 draws of each.
        shape: of one point, where a function is given; an integer d is (d,).
        sampler: a sampler, a kernel, or the name of one.
        generator: seed.
        init: (chains, *shape) starting points.
        trace: keep the states.

    Raises:
        ChainError: a chain that cannot start or go on; names the chain and the step.
        TypeError: a target that is none of these, or a model without what the sampler asks.

    >>> draws = draw(lambda u: -0.5 * u.square().sum(1), 400, 2, sampler="hmc", generator=0)
    >>> draws.samples.shape, draws.divergences
    (torch.Size([400, 2]), 0)
    """
    target = _as_target(target, shape)
    chosen = _as_long(sampler)
    if not isinstance(target, Target):
        chosen.check(target)
    rows = Rows(seed_of(generator), n, 0, target.dtype, target.device)
    return chosen.run(target, n, context=None, generator=rows, init=init, trace=trace)


def _as_target(target: Any, shape: tuple[int, ...] | int | None) -> Any:
    if isinstance(target, Target) or hasattr(target, "model_event"):
        return target
    if not isinstance(target, Callable):  # type: ignore[arg-type]
        raise TypeError(f"expected a log density, a Target or a model, got {type(target).__name__}")
    if shape is None:
        raise TypeError("expected shape=... with a log density of your own: the shape of one point, such as 2 or (2,)")
    return function_target(target, shape)


def _as_long(sampler: Any) -> Sampler:
    """A sampler; a kernel under `Long`."""
    chosen = as_sampler(sampler)
    plain = isinstance(sampler, str | Kernel) and isinstance(chosen, MCMC)
    return MCMC(chosen.kernel, Long()) if plain and isinstance(chosen.driver, Fixed) else chosen


def _one_for_all(context: Tensor | None) -> Tensor | None:
    """The context (1, ...) of chains that depend on one another: all draws must have the same."""
    if context is not None and not bool((context == context[:1]).all()):
        raise ValueError("expected one context for draws that share their chains, got several: sample each on its own")
    return None if context is None else context[:1]


def _fitting(init: Tensor, chains: int, target: Target) -> Tensor:
    init = torch.as_tensor(init)
    if len(init) not in (chains, 1) or init.ndim < 1:
        raise ValueError(f"expected init with a starting point for each of {chains} chains, got {tuple(init.shape)}")
    start = init.to(target.device)
    start = start.to(target.dtype) if start.is_floating_point() else start
    return start.expand(chains, *start.shape[1:])


def _agreement(run: Run) -> tuple[Tensor | None, Tensor | None]:
    """Split R-hat (*U,) and the effective number of the draws (*U,): by ranks where the draws are the chains' states,
    else by running statistics, where each draw is the end of a chain of its own."""
    if run.ess is not None:
        return run.rhat, run.ess
    if run.trace is not None and run.samples is not None and len(run.trace) >= 4:
        from fairway.samplers.diagnostics import ess_bulk, rhat

        return rhat(run.trace), ess_bulk(run.trace)
    if run.statistics is None:
        return None, None
    return run.statistics.split_rhat, run.statistics.ess_batch_means.clamp(max=len(run.draws))


@contextmanager
def frozen(module: torch.nn.Module) -> Iterator[None]:
    """Parameters take no gradient inside: a chain differentiates with respect to its position alone."""
    moving = [p for p in module.parameters() if p.requires_grad]
    try:
        for p in moving:
            p.requires_grad_(False)
        yield
    finally:
        for p in moving:
            p.requires_grad_(True)
