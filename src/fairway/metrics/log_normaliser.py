"""log Z of an energy model: from below, from above, and on a grid.

    Z = the integral of exp(-energy)                         nats; the same in data and in model units

    annealing from N(0, I) up (forward)                lower      E w = Z, so E log mean w <= log Z
    annealing from draws of the model down (reverse)   upper      E 1/w = 1/Z; as good as the draws are exact
    a grid, in one to three dimensions                 equal      the trapezoid rule; of counted data, all their values

Annealed importance sampling (Neal 2001) that never found a mode leaves its mass out of Z, and its weights do not show
it. Reverse (Grosse, Ghahramani & Adams 2015; Burda, Grosse & Salakhutdinov 2015) errs the other way, so the two are a
bracket. A discrete energy is annealed from its base rates, by Gibbs sampling (`gibbs_ais`). Where the weights are worth
under 1 % of the chains there is no number: NaN with relation "none", and a warning that says what to do.
"""

import math
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.capability import HasEnergy, require
from fairway.core.event import Event
from fairway.core.likelihood import Relation
from fairway.core.random import Seed
from fairway.metrics.estimate import Estimate
from fairway.metrics.gibbs_ais import anneal_down, anneal_up, betas_of, has_path
from fairway.samplers.ais import AIS, bracket
from fairway.samplers.gibbs import Gibbs
from fairway.samplers.hmc import HMC
from fairway.samplers.mcmc import MCMC, frozen
from fairway.samplers.target import Target
from fairway.samplers.weights import MeanWeight, mean_weight

WORTH = 0.01  # share of the chains under which their weights are no number
LEAST = 100  # chains
GIBBS_TEMPERATURES = 1000
EDGE = 1e-6  # share of Z on the rim of a grid
MOST_VALUES = 2**24  # of counted data to sum over
BLOCK = 65_536  # points of a grid at once
POINTS = {1: 401, 2: 401, 3: 101}  # along an axis, by dimensions: a million in three


def log_normaliser(
    model: Any, context: Any = None, *, n: int = 1000, sampler: MCMC | None = None, generator: Seed = 0
) -> Estimate:
    """log Z of an energy model by annealed importance sampling from N(0, I) in model units, or from the base rates of a
    discrete one: a lower bound on average.

    Args:
        context: one context (*C), for conditional models.
        n: chains, at least 100.
        sampler: `MCMC(kernel, AIS(...))`; None for Hamiltonian moves and 200 temperatures, or Gibbs sampling and 1,000.

    Returns:
        nats, with `info["ess"]`; NaN with relation "none" where the effective number of chains is under 1 %.

    Raises:
        CapabilityError: a model without an energy.
        ValueError: too few chains, or a sampler without weights.

    >>> from fairway.core.event import Event
    >>> from fairway.models.classical.gaussian import Gaussian
    >>> found = log_normaliser(Gaussian(Event((2,))).eval(), n=100, sampler=MCMC(HMC(), AIS(10)))
    >>> found.relation, abs(found.value) < 0.1      # a normalised density is an energy with log Z = 0
    ('lower', True)
    """
    sampler, _ = _checked(model, sampler, n), for_all_rows(model, context, n)
    if has_path(model):
        driver: Any = sampler.driver
        betas = betas_of(driver.temperatures)
        found = anneal_up(model, n, betas, driver.steps, generator)
        return _estimate(found, "lower", n * driver.steps * (len(betas) - 1))
    draws = model.draw(n, context=context, sampler=sampler, generator=generator)
    return _estimate(mean_weight(draws.log_weights), "lower", draws.n_grad)


def bracket_log_normaliser(
    model: Any, draws: Any, context: Any = None, *, sampler: MCMC | None = None, generator: Seed = 0
) -> tuple[Estimate, Estimate]:
    """log Z from below and from above, by annealing up and, from draws of the model, down.

    Args:
        draws: (n, *E) exact draws of the model in data units, or ends of long chains, at least 100.
        context, sampler, generator: as for `log_normaliser`.

    Returns:
        (lower, upper), nats; either is NaN where its weights are worth under 1 %.
    """
    rows = as_tensor(draws, "draws")
    sampler = _checked(model, sampler, len(rows))
    given = model._context_rows(for_all_rows(model, context, len(rows)), (len(rows),))
    if has_path(model):
        driver: Any = sampler.driver
        path = betas_of(driver.temperatures), driver.steps, generator
        down = anneal_down(model, model._starts(rows, len(rows)), *path)
        return _estimate(anneal_up(model, len(rows), *path), "lower"), _estimate(down, "upper")
    with frozen(model), torch.no_grad():
        found = bracket(
            Target.of(model, given),
            model._starts(rows, len(rows)),
            kernel=sampler.kernel,
            driver=sampler.driver,  # type: ignore[arg-type]
            generator=generator,
        )
    return _estimate(found.forward, "lower"), _estimate(found.backward, "upper")


@torch.no_grad()
def grid_log_normaliser(model: Any, context: Any = None, *, reach: float = 8.0, points: int | None = None) -> Estimate:
    """log Z of an energy model in one to three dimensions by the trapezoid rule: the oracle for the others.

    Args:
        context: one context (*C), for conditional models.
        reach: the grid covers [-reach, reach] in model units.
        points: along each axis, odd; None for 401, or 101 in three dimensions. The error given is the change from every
            second point to all of them.

    Raises:
        CapabilityError: a model without an energy.
        ValueError: more than three dimensions (of counted data, more than 2^24 values), or a density that goes on
            beyond the grid.

    >>> from fairway.core.event import Event
    >>> from fairway.models.classical.gaussian import Gaussian
    >>> print(grid_log_normaliser(Gaussian(Event((1,))).eval()).method)
    numerical
    """
    require(model, (HasEnergy,), "a likelihood by its energy")
    shape, dims = tuple(model.model_event.shape), model.model_event.dims

    def log_unnorm(u: Tensor) -> Tensor:
        given = model._context_rows(for_all_rows(model, context, len(u)), (len(u),))
        return model._log_unnorm(u, given).double().cpu()

    if model.model_event.counted:
        values = torch.cat([log_unnorm(block.to(model.device)) for block in _every_value(model.model_event)])
        return Estimate(float(values.logsumexp(0)), 0.0, "equal", "exact", "nats", n=(len(values),))
    points = POINTS.get(dims, 0) if points is None else points
    if dims > max(POINTS) or points < 5 or points % 2 == 0:
        raise ValueError(f"expected one to three dimensions and an odd number of points, got {shape} and {points}")
    axis = torch.linspace(-reach, reach, points, dtype=torch.float64)
    nodes = torch.cartesian_prod(*[axis] * dims).reshape(-1, *shape).to(model.dtype).to(model.device)
    values = torch.cat([log_unnorm(block) for block in nodes.split(BLOCK)]).reshape((points,) * dims)
    fine, coarse = (_trapezoid(v, 2 * reach / (len(v) - 1)) for v in (values, values[(slice(None, None, 2),) * dims]))
    _check_rim(values, fine, 2 * reach / (points - 1))
    return Estimate(fine, abs(fine - coarse), "equal", "numerical", "nats", n=(values.numel(),))


def _every_value(event: Event) -> Iterator[Tensor]:
    """All values of a counted event in model units, (B, *U) at a time, the first entry turning fastest."""
    levels, dims = event.levels or MOST_VALUES, event.dims
    if levels**dims > MOST_VALUES:
        raise ValueError(f"expected at most {MOST_VALUES:,} values to sum over, got {levels}^{dims}; anneal instead")
    for number in torch.arange(levels**dims).split(BLOCK):
        digits = number.unsqueeze(1) // levels ** torch.arange(dims) % levels
        yield (digits + event.offset).reshape(-1, *event.shape)


def for_all_rows(model: Any, context: Any, n: int) -> Any:
    """One context (*C), for n rows.

    Raises:
        ValueError: several.
    """
    if context is None or model.context_event is None:
        return context
    given = as_tensor(context, "context")
    if not model._one_context(context):
        raise ValueError(f"expected one context for all rows, as each has a log Z of its own; got {tuple(given.shape)}")
    return given.expand(n, *given.shape)


def _checked(model: Any, sampler: MCMC | None, n: int) -> MCMC:
    require(model, (HasEnergy,), "a likelihood by its energy")
    sampler = sampler or (MCMC(Gibbs(), AIS(GIBBS_TEMPERATURES)) if has_path(model) else MCMC(HMC(), AIS()))
    if not isinstance(sampler, MCMC) or not isinstance(sampler.driver, AIS):
        raise ValueError(f"expected a sampler MCMC(kernel, AIS(...)), got {type(sampler).__name__}")
    if has_path(model) and not isinstance(sampler.kernel, Gibbs):
        raise ValueError(f"expected MCMC(Gibbs(), AIS(...)) for a discrete energy, got {sampler.kernel.name()}")
    if n < LEAST:
        raise ValueError(f"expected at least {LEAST} chains to tell what their weights are worth, got {n}")
    return sampler


def _estimate(found: MeanWeight, relation: Relation, gradients: int | None = None) -> Estimate:
    """The mean weight as a number, or no number."""
    info = {"ess": found.ess, **({} if gradients is None else {"gradients": gradients})}
    if not found.ess >= WORTH * found.n:
        warnings.warn(
            f"no log Z: the weights of {found.n} chains are worth {found.ess:.2g}, under {WORTH:.0%}; take more "
            "temperatures or more steps at each, AIS(temperatures=..., steps=...)",
            stacklevel=3,
        )
        return Estimate(math.nan, math.nan, "none", "estimate", "nats", n=(found.n,), info=info)
    value = found.log_mean if relation == "lower" else -found.log_mean
    return Estimate(value, found.error, relation, "estimate", "nats", n=(found.n,), info=info)


def _trapezoid(log_values: Tensor, width: float) -> float:
    """log of the integral of exp(log_values) over a square grid of that width."""
    for axis in range(log_values.ndim):
        ends = torch.zeros(log_values.shape[axis], dtype=torch.float64)
        ends[[0, -1]] = -math.log(2)
        log_values = log_values + ends.reshape([-1 if a == axis else 1 for a in range(log_values.ndim)])
    return float(log_values.flatten().logsumexp(0)) + log_values.ndim * math.log(width)


def _check_rim(log_values: Tensor, log_Z: float, width: float) -> None:
    """Whether the density has died out at the rim, over a unit of length beyond it."""
    inner = torch.zeros(log_values.shape, dtype=torch.bool)
    inner[(slice(1, -1),) * log_values.ndim] = True
    rim = float(log_values[~inner].logsumexp(0)) + (log_values.ndim - 1) * math.log(width)
    if not math.isfinite(log_Z) or rim - log_Z > math.log(EDGE):
        raise ValueError(f"expected a density that ends within the grid, got {math.exp(rim - log_Z):.1g} on its rim")
