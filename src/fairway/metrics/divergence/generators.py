"""The table of f-divergences (Ali and Silvey 1966, Csiszar 1967; Liese and Vajda 2006 for the two limits).

With a convex f, f(1) = 0, and the log ratio r = log p - log q,

    D_f(P || Q) = sum over q > 0 of q f(p / q)  +  P(q = 0) * slope,     slope = lim f(t) / t as t grows
    per unit of q   f(e^r)                         where p = 0 this is f(0), `at_zero`
    per unit of p   f(e^r) e^-r                    where q = 0 this is the slope

KL has slope infinity (mass where Q has none costs infinitely much), reverse KL has f(0) infinite, total variation has
1/2 twice. Both forms are kept, in r, so that nothing overflows: per unit of q where r <= 0, of p where r > 0. Reversing
the two laws swaps the forms and the limits: f(t) becomes t f(1 / t).

    name                  f(t)                                      range
    kl                    t log t                                   [0, inf]      nats
    jensen_shannon        KL of each to their mixture, halved       [0, log 2]    nats
    jeffreys              (t - 1) log t = KL + reverse KL           [0, inf]      nats
    total_variation       |t - 1| / 2                               [0, 1]
    squared_hellinger     (sqrt t - 1)^2 / 2                        [0, 1]
    pearson, neyman       (t - 1)^2, and reversed                   [0, inf]
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fairway.core.numerics import LOG_2

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FDivergence:
    """One f, entry by entry.

    Args:
        per_q: r -> f(e^r). per_p: r -> f(e^r) e^-r.
        at_zero: f(0), the cost per unit of q where p = 0; None where it is not known.
        slope: lim f(t) / t, the cost per unit of p where q = 0; None where it is not known.
        unit: "nats", or "1" for a pure number.
    """

    per_q: Function
    per_p: Function
    at_zero: float | None
    slope: float | None
    unit: str = "1"

    def reversed(self) -> "FDivergence":
        """The divergence with P and Q exchanged."""
        per_q, per_p = self.per_q, self.per_p
        return FDivergence(lambda r: per_p(-r), lambda r: per_q(-r), self.slope, self.at_zero, self.unit)

    def from_p(self, r: Tensor) -> Tensor:
        """Terms (n,) whose mean over rows of p is the divergence, from their log ratios r (n,); +inf where q = 0.

        Rows of p see nothing of where p = 0. Adding f(0) (t - 1) to f changes no divergence and makes its value at 0
        vanish, so that nothing is missed wherever f(0) is finite. Ratios are clamped at e^-30: under p such a row has
        a probability below 1e-13, and the difference of two large terms would be rounding.
        """
        alone = torch.isposinf(r)
        known = self.at_zero is not None and math.isfinite(self.at_zero)
        shift = self.at_zero if known and self.at_zero else 0.0
        r = torch.where(alone, 0.0, r.clamp(min=-30) if shift else r)
        terms = self.per_p(r) - shift * torch.expm1(-r)
        if not bool(alone.any()):
            return terms
        return torch.where(alone, shift + needed(self.slope, "the limit of f(t) / t, `slope`, where q = 0"), terms)


def needed(limit: float | None, what: str) -> float:
    """A limit of f that these laws ask for.

    Raises:
        ValueError: it is not known.
    """
    if limit is None:
        raise ValueError(f"expected {what}: give FDivergence(per_q, per_p, at_zero, slope) instead of a plain function")
    return limit


def generator_of(f: str | FDivergence | Function) -> FDivergence:
    """The entry of that name, or one made from a function of the ratio t = p / q > 0, with f(1) = 0.

    Raises:
        ValueError: an unknown name, f(1) other than 0.

    >>> generator_of("total_variation").slope
    0.5
    >>> generator_of(lambda t: (t - 1) ** 2).per_q(torch.tensor(0.0).double()).item()
    0.0
    """
    if isinstance(f, FDivergence):
        return f
    if isinstance(f, str):
        if f not in F_DIVERGENCES:
            raise ValueError(f"expected an f-divergence among {', '.join(F_DIVERGENCES)}, or a function; got {f!r}")
        return F_DIVERGENCES[f]
    at_one = float(f(torch.ones((), dtype=torch.float64)))
    if not abs(at_one) < 1e-12:
        raise ValueError(f"expected f(1) = 0, got {at_one}: equal laws must be at distance 0")
    return FDivergence(lambda r: f(torch.exp(r)), lambda r: f(torch.exp(r)) * torch.exp(-r), None, None)


def _to_mixture(r: Tensor) -> Tensor:
    """log p / ((p + q) / 2)."""
    return LOG_2 - F.softplus(-r)


def _jensen_shannon(r: Tensor) -> Tensor:
    return (_to_mixture(r) + torch.exp(-r) * _to_mixture(-r)) / 2


KL = FDivergence(lambda r: r * torch.exp(r), lambda r: r, 0.0, math.inf, "nats")
PEARSON = FDivergence(
    lambda r: torch.expm1(r).square(), lambda r: torch.expm1(r) * -torch.expm1(-r), 1.0, math.inf
)  # fmt: skip

F_DIVERGENCES = {
    "kl": KL,
    "reverse_kl": KL.reversed(),
    "jeffreys": FDivergence(lambda r: r * torch.expm1(r), lambda r: -r * torch.expm1(-r), math.inf, math.inf, "nats"),
    "jensen_shannon": FDivergence(lambda r: _jensen_shannon(-r), _jensen_shannon, LOG_2 / 2, LOG_2 / 2, "nats"),
    "total_variation": FDivergence(
        lambda r: torch.expm1(r).abs() / 2, lambda r: torch.expm1(-r).abs() / 2, 0.5, 0.5
    ),
    "squared_hellinger": FDivergence(
        lambda r: torch.expm1(r / 2).square() / 2, lambda r: torch.expm1(-r / 2).square() / 2, 0.5, 0.5
    ),
    "pearson": PEARSON,
    "neyman": PEARSON.reversed(),
}  # fmt: skip
