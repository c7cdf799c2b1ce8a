"""log Z of a discrete energy by annealed importance sampling from the base rates, with rounds of Gibbs sampling.

    p_b ~ exp(f_b) q,   f_0 = 0, f_1 = f, so Z_0 = 1;      log w = sum_k f_bk(u_(k-1)) - f_b(k-1)(u_(k-1)),   E w = Z_1

u_0 is drawn from q, the law of the data's frequencies, and u_k from u_(k-1) by a round that leaves p_bk as it is. The
same from exact draws of p_1 down to q has E w = 1 / Z_1: the two are a bracket (see `log_normaliser`). A model brings
its own path and its own round (`TiltedRates._path_round`): of a Boltzmann machine, the hidden units of every machine on
the way are summed out and its two layers drawn in turn, two matrix products for each temperature.

Temperatures crowd at the end, where rounds mix slowest: b = 0 to 0.5, 0.9 and 1 with shares 1 : 8 : 20, those of the
14,500 of the source. Source: Salakhutdinov & Murray 2008, sections 4.1 and 5.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairway.core.random import Rows, Seed, mix, seed_of
from fairway.samplers.kernel import shape_of
from fairway.samplers.weights import MeanWeight, mean_weight

STOPS, SHARES = (0.0, 0.5, 0.9, 1.0), (1, 8, 20)


def has_path(model: Any) -> bool:
    """Whether a model knows a path from a law that is known to its own, and rounds along it."""
    return hasattr(model, "_path_round")


def betas_of(temperatures: int | Sequence[float]) -> list[float]:
    """Places on the path from 0 to 1: given ones, or so many, at least four, crowded towards 1.

    >>> [round(b, 3) for b in betas_of(8)]
    [0.0, 0.5, 0.9, 0.92, 0.94, 0.96, 0.98, 1.0]
    """
    if not isinstance(temperatures, int):
        return [float(b) for b in temperatures]
    steps = max(temperatures - 1, 3)
    ends = [0, *(max(k + 1, round(steps * sum(SHARES[: k + 1]) / sum(SHARES))) for k in range(2)), steps]
    return [float(b) for b in np.interp(np.arange(steps + 1), ends, STOPS)]


def anneal_up(model: Any, n: int, betas: Sequence[float], steps: int = 1, generator: Seed = 0) -> MeanWeight:
    """n chains from the base rates to the model, E w = Z.

    Args:
        model: with a path, in eval mode.
        betas: from 0 to 1. steps: rounds at each.
        generator: seed; the weights of n chains are the first of those of n + m.
    """
    seed = seed_of(generator)
    parts = [
        _travel(model, model._births(rows.spawn(0)), betas, steps, rows.spawn(1)) for rows in _parts(model, n, seed)
    ]
    return mean_weight(torch.cat(parts))


def anneal_down(model: Any, exact: Tensor, betas: Sequence[float], steps: int = 1, generator: Seed = 0) -> MeanWeight:
    """Chains from draws of the model (n, *U), model units, to the base rates, E w = 1 / Z.

    Args:
        model, betas, steps, generator: as for `anneal_up`; betas from 0 to 1, too.
    """
    seed = mix(seed_of(generator), 1)
    parts = [
        _travel(model, exact[rows.start : rows.start + rows.n], betas[::-1], steps, rows)
        for rows in _parts(model, len(exact), seed)
    ]
    return mean_weight(torch.cat(parts))


def _parts(model: Any, n: int, seed: int) -> list[Rows]:
    """Rows of n chains, as many together as suit the caches."""
    size = model.rows_at_once
    return [Rows(seed, min(size, n - a), a, model.dtype, model.device) for a in range(0, n, size)]


@torch.no_grad()
def _travel(model: Any, u: Tensor, betas: Sequence[float], steps: int, rows: Rows) -> Tensor:
    """log w (B,) of chains that stand at u under the first of betas."""
    shape = model.gibbs_uniforms or shape_of(model.model_event)
    log_weights = torch.zeros(len(u), dtype=torch.float64, device=u.device)
    for before, after in pairwise(betas):
        u, gained = model._path_round(u, before, after, rows.uniform(*shape))
        log_weights += gained.double()
        for _ in range(steps - 1):
            u, _ = model._path_round(u, after, after, rows.uniform(*shape))
    return log_weights
