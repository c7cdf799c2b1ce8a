"""Walking down the noise levels of a denoiser: a grid of levels, and a rule from one to the next.

    u at t_1 = 1: noise;   u <- rule(u, t_k -> t_k+1), k = 1, ..., K - 1;   sample = E[u_0 | u at t_K]

Grids of K levels (t_K is 0 where there is noise left at t = 0, else `NEAREST`; the last step takes all of it off):

    log_snr    log(alpha / sigma) in equal steps: what exponential integrators are made for (Lu et al. 2022)
    karras     (sigma / alpha)^(1/7) in equal steps: finer where there is little noise (Karras et al. 2022, eq. 5)
    time       t in equal steps
    open       log_snr without its ends: a stroke next to the data tells nothing new, nor does one next to pure noise
               (garments by EDM in 8 strokes: Fréchet distance 23 for 34; in 4: 112 for 271)

Where t = 1 is pure noise, alpha = 0, the ratio there is infinite: the second level is then `NEAREST` below it. A rule
sees the data's estimate alone, E[u_0 | u_t] =: D, with eps = (u - alpha D) / sigma, whatever the network predicts.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasDenoiser
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Sampler

NEAREST = 1e-3  # in t, to an end that cannot be looked at
RHO = 7.0


@dataclass(frozen=True)
class Level:
    """One noise level, numbers in float64.

    Args:
        t, alpha, sigma: time, and the coefficients there.
    """

    t: float
    alpha: float
    sigma: float

    @classmethod
    def at(cls, schedule: Any, t: float) -> "Level":
        """The level of a schedule at a time."""
        alpha, sigma = schedule(torch.tensor(t, dtype=torch.float64))
        return cls(t, float(alpha), float(sigma))


Predict = Callable[[Tensor, Level], Tensor]  # u (n, *U) -> E[u_0 | u_t = u]
Rule = Callable[[Tensor, Level, Level], Tensor]  # u at one level -> u at the next


def _by_time(schedule: Any, first: float, last: float, count: int) -> Tensor:
    return torch.linspace(first, last, count, dtype=torch.float64)


def _by_log_snr(schedule: Any, first: float, last: float, count: int) -> Tensor:
    ends = schedule.log_snr(torch.tensor([first, last], dtype=torch.float64))
    times: Tensor = schedule.at_log_snr(torch.linspace(float(ends[0]), float(ends[1]), count, dtype=torch.float64))
    return times


def _by_karras(schedule: Any, first: float, last: float, count: int) -> Tensor:
    ends = torch.exp(-schedule.log_snr(torch.tensor([first, last], dtype=torch.float64)) / (2 * RHO))
    roots = torch.linspace(float(ends[0]), float(ends[1]), count, dtype=torch.float64)
    times: Tensor = schedule.at_log_snr(-2 * RHO * roots.log())
    return times


def _open(schedule: Any, first: float, last: float, count: int) -> Tensor:
    return _by_log_snr(schedule, first, last, count + 1)[:-1]


GRIDS = {"log_snr": _by_log_snr, "karras": _by_karras, "time": _by_time, "open": _open}


def noise_levels(schedule: Any, count: int, grid: str = "log_snr") -> list[Level]:
    """Levels from t = 1 downwards.

    Args:
        schedule: t -> (alpha, sigma), with `log_snr` and `at_log_snr`.
        count: K, at least 1.
        grid: "log_snr", "karras", "time" or "open".
    """
    start, end = Level.at(schedule, 1.0), Level.at(schedule, 0.0)
    last = 0.0 if end.sigma > 0 else NEAREST
    if start.alpha > 0 or grid == "time":
        times = GRIDS[grid](schedule, 1.0, last, count).tolist()
    elif grid == "open":
        times = [1.0, *GRIDS[grid](schedule, 1.0 - NEAREST, last, count).tolist()[1:]]
    else:
        rest = GRIDS[grid](schedule, 1.0 - NEAREST, last, count - 1).tolist() if count > 2 else [last] * (count - 1)
        times = [1.0, *rest]
    return [Level.at(schedule, min(max(t, last), 1.0)) for t in times]


class DenoisingSampler(Sampler):
    """Base: subclasses give the rule.

    Args:
        steps: levels K.
        grid: "log_snr", "karras", "time" or "open".

    Raises:
        ValueError: no steps, or an unknown grid.
    """

    requires: ClassVar[tuple[type[Capability], ...]] = (HasDenoiser,)

    def __init__(self, steps: int = 20, grid: str = "log_snr") -> None:
        if steps < 1:
            raise ValueError(f"expected steps of at least 1, got {steps}")
        if grid not in GRIDS:
            raise ValueError(f"expected a grid among {', '.join(GRIDS)}, got {grid!r}")
        self.steps, self.grid = steps, grid

    @abstractmethod
    def rule(self, predict: Predict, noise: Callable[[], Tensor], schedule: Any) -> Rule:
        """How to go from a level to the next; it may remember what it saw on the way.

        Args:
            predict: the data's estimate.
            levels: from t = 1 down. noise: fresh standard normal noise (n, *U) at every call.
            schedule: for levels between those of the grid.
        """

    def run(
        self,
        model: Any,
        n: int,
        *,
        context: Tensor | None,
        generator: Rows,
        init: Tensor | None = None,
        trace: bool = False,
    ) -> Draws:
        """As `Sampler.run`; `init` are the points at t = 1, `trace` the path with the clean end (steps + 1, n, *U)."""
        u = model._prior(generator) if init is None else init
        fresh, states = generator.spawn(1), [u]
        keep = states.append if trace else None
        levels = noise_levels(model.schedule, self.steps, self.grid)
        u, asked = self.walk(model, u, context, levels, lambda: fresh.normal(*u.shape[1:]), keep)
        return Draws(u, float(asked), trace=torch.stack(states) if trace else None)

    def walk(
        self,
        model: Any,
        u: Tensor,
        context: Tensor | None,
        levels: Sequence[Level],
        noise: Callable[[], Tensor],
        keep: Callable[[Tensor], None] | None = None,
    ) -> tuple[Tensor, int]:
        """From u at t = 1 to the sample; and how often the network was asked.

        Args:
            levels: from t = 1 down. noise: fresh standard normal noise (n, *U) at every call.
            keep: told of every state after u.
        """
        asked = 0

        def predict(u: Tensor, level: Level) -> Tensor:
            nonlocal asked
            asked += 1
            out: Tensor = model._denoise(u, u.new_full((len(u),), level.t), context)
            return out

        step = self.rule(predict, noise, model.schedule)
        for here, there in pairwise(levels):
            u = step(u, here, there)
            if keep is not None:
                keep(u)
        u = predict(u, levels[-1])
        if keep is not None:
            keep(u)
        return u, asked
