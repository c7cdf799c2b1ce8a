"""Does a kernel leave its target where it is? The test that catches wrong samplers in about a second.

Many chains start from exact draws of a target and take ten steps. A right kernel leaves the law as it was, so the ends
and as many fresh exact draws agree in every functional: two-sample Kolmogorov-Smirnov on the entries u_1 and u_2, their
product, the radius |u| and the log density, with an alarm at p < 1e-4. A wrong noise scale, a missing Hastings term, a
gradient of the last step, a full last kick or a tree that is not reversible move one of them far beyond it.

Three targets in two dimensions: a correlated Gaussian, two Gaussians of different width, and an asymmetric one whose
density falls at exponential speed on one side and doubly exponential on the other (Gumbel, with a curved companion).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers.driver import advance
from fairway.samplers.kernel import Kernel, State
from fairway.samplers.target import Target
from fairway.testing.statistics import ALARM, smirnov_p

CHAINS, STEPS = 50_000, 10
PLANE = Event((2,))


@dataclass(frozen=True)
class Known:
    """A target that can be drawn from exactly.

    Args:
        name: for messages.
        target: its log density, normalised.
        sample: rows -> exact draws (B, 2).
    """

    name: str
    target: Target
    sample: Callable[[Rows], Tensor]


def correlated(u: Tensor) -> Tensor:
    """N(0, [[1, 0.8], [0.8, 1]]): log density (B,)."""
    x, y = u.unbind(1)
    return -(x * x - 1.6 * x * y + y * y) / (2 * 0.36) - math.log(2 * math.pi * 0.6)


def two_widths(u: Tensor) -> Tensor:
    """0.6 N((-1, 0), 1) + 0.4 N((1, 1), 0.5^2): log density (B,)."""
    wide = math.log(0.6 / (2 * math.pi)) - 0.5 * (u - u.new_tensor([-1.0, 0.0])).square().sum(1)
    narrow = math.log(0.4 / (2 * math.pi * 0.25)) - 2 * (u - u.new_tensor([1.0, 1.0])).square().sum(1)
    return torch.logaddexp(wide, narrow)


def gumbel(u: Tensor) -> Tensor:
    """u_1 from Gumbel(0, 1), u_2 given it from N(u_1^2 / 4, 0.7^2): log density (B,)."""
    x, y = u.unbind(1)
    return -x - torch.exp(-x) - 0.5 * ((y - x * x / 4) / 0.7).square() - math.log(0.7 * math.sqrt(2 * math.pi))


def _correlated(rows: Rows) -> Tensor:
    z = rows.normal(2)
    return torch.stack([z[:, 0], 0.8 * z[:, 0] + 0.6 * z[:, 1]], 1)


def _two_widths(rows: Rows) -> Tensor:
    z, wide = rows.normal(2), (rows.spawn(1).uniform() < 0.6).unsqueeze(1)
    return torch.where(wide, z + z.new_tensor([-1.0, 0.0]), 0.5 * z + 1.0)


def _gumbel(rows: Rows) -> Tensor:
    x = -torch.log(-torch.log(rows.spawn(1).uniform().clamp(min=1e-300)))
    return torch.stack([x, x * x / 4 + 0.7 * rows.normal()], 1)


KNOWN = (
    Known("correlated", Target(correlated, event=PLANE), _correlated),
    Known("two_widths", Target(two_widths, event=PLANE), _two_widths),
    Known("gumbel", Target(gumbel, event=PLANE), _gumbel),
)


def functionals(u: Tensor, log_prob: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Five numbers of each point of (B, 2)."""
    x, y = u.unbind(1)
    return {"first": x, "second": y, "product": x * y, "radius": u.norm(dim=1), "log_prob": log_prob(u)}


Start = Callable[[State, Rows], State]


def stationarity(
    kernel: Kernel,
    known: Known,
    *,
    start: Start | None = None,
    chains: int = CHAINS,
    steps: int = STEPS,
    seed: int = 0,
) -> dict[str, float]:
    """p-values that a few steps from exact draws leave the law where it was, one per functional.

    Args:
        kernel: at its own step size; nothing adapts.
        known: the target.
        start: what else the state of a chain holds (a momentum, units, a length), given where it stands and noise of
            its own; None for what `init` makes.
        chains, steps: how many chains move how far.
        seed: of the draws and of the kernel's noise.

    Raises:
        ChainError: a chain that left the numbers; names the chain and the step.
    """
    rows = Rows(seed, chains, dtype=torch.float64)
    state = kernel.init(known.target, kernel.lay_out(known.sample(rows.spawn(0))))
    state = state if start is None else start(state, rows.spawn(1))
    state, _ = advance(kernel, known.target, state, rows.spawn(2), steps)
    fresh = functionals(known.sample(rows.spawn(3)), known.target.value)
    return {name: smirnov_p(ends, fresh[name]) for name, ends in functionals(state.u, known.target.value).items()}


def check_kernel(
    kernel: Kernel,
    targets: tuple[Known, ...] = KNOWN,
    *,
    start: Start | None = None,
    chains: int = CHAINS,
    steps: int = STEPS,
    seed: int = 0,
) -> None:
    """Alarm where a kernel moves a law that it should leave invariant; arguments as in `stationarity`.

    Raises:
        AssertionError: names the target, the functional and the p-value.

    >>> from fairway.samplers import Langevin
    >>> check_kernel(Langevin(0.3, metropolis=True), chains=5000)
    """
    for known in targets:
        for name, p in stationarity(kernel, known, start=start, chains=chains, steps=steps, seed=seed).items():
            if p < ALARM:
                raise AssertionError(f"{type(kernel).__name__} moves {known.name}: the {name} changes, p = {p:.2g}")
