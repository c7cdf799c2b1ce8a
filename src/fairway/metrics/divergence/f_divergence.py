"""f-divergences of tables (exact), of densities (Monte Carlo) and their lower bound by any guess of the ratio.

    tables       D = sum q f(p / q), with f(0) where p = 0 and the slope of f where q = 0
    densities    D = E_p[f(t) / t + f(0) (1 - 1 / t)],   t = p(x) / q(x), x ~ p
    guess        D >= E_p f'(s) - E_q[s f'(s) - f(s)]    for any function s(x) > 0, equal at s = p / q

The last is the variational bound of Nguyen, Wainwright and Jordan (2010) with the conjugate written out, f*(f'(s)) =
s f'(s) - f(s): log s is any classifier's logit of "from p" against "from q" on rows it was not trained on. For total
variation it is the classifier's accuracy, for Jensen-Shannon log 2 less its cross-entropy. The names are in
`generators.py`; logarithms are natural, so Jensen-Shannon of disjoint laws is log 2.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.metrics.divergence.generators import FDivergence, Function, generator_of, needed
from fairway.metrics.estimate import Estimate

Density = Callable[[Tensor], Tensor] | Tensor


def f_divergence(p: Any, q: Any, f: str | FDivergence | Function = "kl") -> Estimate:
    """D_f(P || Q) of two tables, exact, zeros included.

    Args:
        p, q: probabilities of the same cells, any one shape; each sums to 1.
        f: a name of F_DIVERGENCES, an FDivergence, or a convex function of the ratio p / q with f(1) = 0.

    Raises:
        ValueError: different shapes, what is no table of probabilities, an unknown name, a function whose limit at 0
            or at infinity is needed and not known.

    >>> str(f_divergence([0.5, 0.5, 0], [0, 0.5, 0.5], "total_variation"))
    '0.5 (exact)'
    >>> f_divergence([0.5, 0.5, 0], [0, 0.5, 0.5], "kl").value
    inf
    """
    law = generator_of(f)
    a, b = _tables(p, q)
    both = (a > 0) & (b > 0)
    r = a[both].log() - b[both].log()
    terms = torch.where(r > 0, a[both] * law.per_p(r.clamp(min=0)), b[both] * law.per_q(r.clamp(max=0)))
    missing, extra = float(b[a == 0].sum()), float(a[b == 0].sum())
    missing *= needed(law.at_zero, "f(0), `at_zero`, where p = 0") if missing else 0.0
    extra *= needed(law.slope, "the limit of f(t) / t, `slope`, where q = 0") if extra else 0.0
    return Estimate(max(float(terms.sum()) + missing + extra, 0.0), unit=law.unit)


def f_divergence_of_densities(
    log_p: Density, log_q: Density, samples: Any, f: str | FDivergence | Function = "kl"
) -> Estimate:
    """D_f(P || Q) by Monte Carlo over rows of P, unbiased, with its standard error.

    Where f(0) is infinite (reverse KL, Jeffreys, Neyman) mass of Q where P has none is not seen: exchange the laws.

    Args:
        log_p, log_q: normalised log densities, functions of the rows (a model's `log_prob`) or their values (n,), nats.
        samples: (n, *E) rows drawn from P.

    Raises:
        ValueError: fewer than two rows, values of another shape, NaN.

    >>> x = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    >>> found = f_divergence_of_densities(-x**2 / 2, -(x - 1) ** 2 / 2, x)  # the constants cancel; the value is 1/2
    >>> abs(found.value - 0.5) < 3 * found.standard_error
    True
    """
    law, rows = generator_of(f), as_tensor(samples, "samples").detach()
    if len(rows) < 2:
        raise ValueError(f"expected at least two samples for a standard error, got {len(rows)}")
    a, b = _values(log_p, rows, "log_p"), _values(log_q, rows, "log_q")
    if bool(torch.isneginf(a).any()):
        raise ValueError("expected samples of P, got rows where log_p is -inf")
    return mean_of(law.from_p(a - b), law.unit)


def kl(log_p: Density, log_q: Density, samples: Any) -> Estimate:
    """KL(P || Q) = E_p[log p - log q] in nats, by Monte Carlo over samples (n, *E) of P."""
    return f_divergence_of_densities(log_p, log_q, samples, "kl")


def lower_bound(log_ratio_p: Any, log_ratio_q: Any, f: str | FDivergence | Function = "kl") -> Estimate:
    """A lower bound on D_f(P || Q) from a guess of log p / q, right or wrong, on rows that the guess was not fitted to.

    Args:
        log_ratio_p, log_ratio_q: (n,) and (m,) the guess at rows of P and of Q, nats.

    Returns:
        The bound (relation "lower") and its standard error; an unlucky draw may lie above the divergence by that much.

    >>> str(lower_bound([9.0, 9.0, 9.0], [-9.0, -9.0, 9.0], "total_variation"))  # 2/3 of Q is told from P
    '>= 0.6667 +- 0.33 (estimate)'
    """
    law = generator_of(f)
    _, slope_p = _with_slope(law, as_tensor(log_ratio_p).double())
    r = as_tensor(log_ratio_q).double()
    value, slope_q = _with_slope(law, r)
    gain, cost = slope_p, slope_q * torch.exp(r.clamp(-LIMIT, LIMIT)) - value
    error = math.sqrt(float(gain.var()) / len(gain) + float(cost.var()) / len(cost))
    bound = float(gain.mean() - cost.mean())
    return Estimate(bound, error, "lower", "estimate", law.unit, n=(len(gain), len(cost)))


LIMIT = 30.0  # a guess may be cut anywhere; e^30 is far outside what rows can tell


def _with_slope(law: FDivergence, r: Tensor) -> tuple[Tensor, Tensor]:
    """f and f' at the ratios e^r, each (n,)."""
    with torch.enable_grad():
        r = r.detach().clamp(-LIMIT, LIMIT).requires_grad_()
        value = law.per_q(r)
        (slope,) = torch.autograd.grad(value.sum(), r)
    return value.detach(), slope * torch.exp(-r.detach())


def mean_of(terms: Tensor, unit: str) -> Estimate:
    """The mean of independent terms (n,), with its standard error (unknown where a term is infinite)."""
    if bool(torch.isnan(terms).any()):
        raise ValueError("expected log densities that are numbers, got NaN")
    value, n = float(terms.mean()), len(terms)
    error = float(terms.std()) / math.sqrt(n) if math.isfinite(value) else math.nan
    return Estimate(value, error, method="estimate", unit=unit, n=(n,))


def _tables(p: Any, q: Any) -> tuple[Tensor, Tensor]:
    """Two tables of one shape, float64, each summing to 1."""
    a, b = table_of(p, "p"), table_of(q, "q")
    if a.shape != b.shape:
        raise ValueError(f"expected tables p and q of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    return a, b


def table_of(p: Any, what: str) -> Tensor:
    """Probabilities, float64, of any shape.

    Raises:
        ValueError: a negative entry, NaN, a sum other than 1 (by more than rounding in float32).
    """
    table = as_tensor(p, what).detach().double().cpu()
    if not bool((table >= 0).all()) or not abs(float(table.sum()) - 1) < 1e-5:
        found = f"entries from {float(table.min()):.4g} and a sum of {float(table.sum()):.6g}"
        raise ValueError(
            f"expected {what} as probabilities, none below 0, that sum to 1; got {found}: divide by the sum"
        )
    return table / table.sum()


def _values(log_density: Density, rows: Tensor, what: str) -> Tensor:
    """(n,) float64."""
    found = log_density if isinstance(log_density, Tensor) else log_density(rows)
    values = found.detach().double().cpu()
    if values.shape != (len(rows),):
        raise ValueError(f"expected {what} of shape ({len(rows)},), one per row, got {tuple(values.shape)}")
    return values
