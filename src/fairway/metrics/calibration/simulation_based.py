"""Simulation-based calibration of conditionals (Cook, Gelman and Rubin 2006; Talts et al. 2018).

    (x*, c) ~ p(x, c),   x_1, ..., x_L ~ q(x | c),   rank = #{h(x_l, c) < h(x*, c)}

If q(x | c) = p(x | c), then x* and the x_l are exchangeable given c, and the rank of any quantity h is uniform on
0, ..., L. Held-out pairs are draws of p(x, c); where the prior and the simulator are at hand, fresh pairs are. The
ranks go through `randomised_rank` to (0, 1) and the two tests of uniformity; several quantities count as one test.

h defaults to the entries of x. Those alone are blind to a q that ignores c altogether: the prior is calibrated. A
quantity that looks at both sees it (Modrak et al. 2023): a likelihood p(c | x), a distance of x to c.
Chains give correlated draws: thin them first, or the ranks are U-shaped for a right q.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.random import Seed, mix, seed_of
from fairway.metrics.calibration.pit import DRAWS, draws_for, randomised_rank
from fairway.metrics.calibration.uniformity import chi_square_test, ecdf_test
from fairway.metrics.significance import smallest

Quantities = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Calibration:
    """Ranks of the truth among draws, and whether they are uniform.

    Args:
        u: (n, k) randomised ranks in (0, 1), one column per quantity.
        chi_square, ecdf: (k,) p-values of each quantity.
        draws: L behind every rank.
    """

    u: Tensor
    chi_square: Tensor
    ecdf: Tensor
    draws: int

    @property
    def p_value(self) -> float:
        """Of all quantities at once, by the ECDF test: k times the smallest."""
        return smallest(self.ecdf)

    def rejects(self, level: float = 0.05) -> bool:
        """Whether the conditionals are rejected; right ones are with probability at most `level`."""
        return self.p_value <= level


def simulation_based_calibration(
    model: Any,
    x: Any,
    context: Any = None,
    *,
    quantities: Quantities | None = None,
    draws: int = DRAWS,
    sampler: Any = None,
    generator: Seed = 0,
) -> Calibration:
    """Whether draws of the model given a context are spread as the truth is.

    Args:
        x, context: (n, *E) and (n, *C), independent pairs of the joint law, none of which the model was fitted to.
        quantities: h, from x (n, m, *E) and context (n, *C) (x itself without) to (n, m, k); None for the entries.
        draws: L per context.
        sampler: a sampler, a kernel or a registered name; None for the model's own.
        generator: seed.

    Raises:
        ValueError: fewer than ten rows, contexts that are not one per row, quantities of another shape.

    >>> from fairway.core.event import Event
    >>> from fairway.models.classical.gaussian import Gaussian
    >>> model = Gaussian(Event((2,)))
    >>> simulation_based_calibration(model, model.sample(300, generator=1)).rejects()
    False
    """
    seed, rows = seed_of(generator), as_tensor(x).detach().cpu()
    others = draws_for(model, len(rows), context, draws, sampler, mix(seed, 0))
    given = rows if context is None else as_tensor(context, "context").detach().cpu()
    return _calibration(rows, others, given, quantities or _entries, mix(seed, 1))


def completion_calibration(
    model: Any,
    x: Any,
    observed: Any,
    *,
    context: Any = None,
    quantities: Quantities | None = None,
    draws: int = DRAWS,
    generator: Seed = 0,
) -> Calibration:
    """Whether `model.complete` spreads the unobserved entries as the truth is, given the observed ones.

    Args:
        x: (n, *E) complete rows, none of which the model was fitted to.
        observed: (*E) booleans, one mask for all rows.
        quantities: h, from completed rows (n, m, *E) and the rows x (n, *E) to (n, m, k); None for the unobserved.
        context, draws, generator: as for `simulation_based_calibration`.

    Raises:
        CapabilityError: the model does not complete rows exactly.
        ValueError: a mask of another shape, or nothing unobserved.

    >>> from fairway.core.event import Event
    >>> from fairway.models.classical.mixture import GMM
    >>> model = GMM(Event((3,)), components=2)
    >>> found = completion_calibration(model, model.sample(300, generator=1), [True, False, False])
    >>> found.u.shape, found.rejects()
    (torch.Size([300, 2]), False)
    """
    seed, rows = seed_of(generator), as_tensor(x).detach().cpu()
    mask = as_tensor(observed, "observed").bool()
    if mask.shape != rows.shape[1:] or bool(mask.all()):
        raise ValueError(f"expected observed of shape {tuple(rows.shape[1:])} with an entry left out, got {mask}")
    others = model.complete(rows, mask, draws, context=context, generator=mix(seed, 0)).cpu()
    return _calibration(rows, others, rows, quantities or (lambda x, _: x[:, :, ~mask]), mix(seed, 1))


def _entries(x: Tensor, context: Tensor) -> Tensor:
    return x.flatten(2)


def _calibration(rows: Tensor, others: Tensor, given: Tensor, quantities: Quantities, seed: int) -> Calibration:
    truth = quantities(rows.to(others.dtype).unsqueeze(1), given)
    found = quantities(others, given)
    if truth.ndim != 3 or found.shape != (*others.shape[:2], truth.shape[2]):
        raise ValueError(f"expected quantities of shape (n, m, k), got {tuple(truth.shape)} and {tuple(found.shape)}")
    u = randomised_rank(truth[:, 0], found, seed)
    return Calibration(u, _p_values(u, chi_square_test), _p_values(u, ecdf_test), others.shape[1])


def _p_values(u: Tensor, test: Callable[[Tensor], Any]) -> Tensor:
    columns: Sequence[Tensor] = u.unbind(1)
    return torch.tensor([test(column).p_value for column in columns], dtype=torch.float64)
