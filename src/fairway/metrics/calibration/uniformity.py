"""Are u_1, ..., u_n independent draws of U(0, 1)?

    chi square   counts O_i in c equal cells,  X^2 = sum (O_i - n/c)^2 / (n/c) ~ chi^2(c - 1)
    ecdf         R(z) = #{u <= z} ~ Binomial(n, z); on the grid z_i = i / K, with F_z its distribution function,
                 gamma = min over i of 2 min(F_z(R), 1 - F_z(R - 1)),    p = P(gamma of uniform draws <= gamma)

The second is the simultaneous band of Sailynoja, Buerkner and Vehtari (2022): every point of the ECDF within its own
binomial interval at level gamma, with gamma's law by simulation, so that all of them hold at once. It keeps the order
of the cells, which the chi square forgets, and sees tails better than Kolmogorov's distance does.
A hump in the middle of u means too wide a law, a U shape too narrow (overconfident), a slope a biased one.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.random import generator_for
from fairway.metrics.estimate import Estimate
from fairway.metrics.significance import HypothesisTest, chi_square_p_value

UNIFORM = "u is uniform on (0, 1)"
SIMULATIONS, POINTS = 2000, 50


def chi_square_test(u: Any, *, cells: int = 20) -> HypothesisTest:
    """Pearson's test that u (n,) is uniform; fewer cells where they would expect under five.

    Raises:
        ValueError: not a vector of at least 10 values in [0, 1].

    >>> chi_square_test((torch.arange(100) + 0.5) / 100).p_value
    1.0
    """
    values = _unit(u)
    cells = max(2, min(cells, len(values) // 5))
    counts = torch.bincount((values * cells).long().clamp(max=cells - 1), minlength=cells).double()
    expected = len(values) / cells
    statistic = (counts - expected).square().sum() / expected
    info = {"counts": counts.tolist()}
    estimate = Estimate(float(statistic), float("nan"), n=(len(values),), protocol=f"chi^2({cells - 1})")
    return HypothesisTest(estimate, float(chi_square_p_value(statistic, cells - 1)), UNIFORM, info)


def ecdf_test(u: Any) -> HypothesisTest:
    """Test that u (n,) is uniform, by the simultaneous band of its empirical distribution function.

    Returns:
        gamma (small is bad), with the point z where the band is left first.

    Raises:
        ValueError: not a vector of at least 10 values in [0, 1].

    >>> ecdf_test((torch.arange(100) + 0.5) / 100).p_value, ecdf_test(torch.full((50,), 0.5)).p_value < 0.001
    (1.0, True)
    """
    values = _unit(u)
    tails = _tails(len(values)).gather(1, _counts(values.unsqueeze(0)).T).flatten()
    gamma, simulated = tails.min(), _simulated(len(values))
    p = (1 + int((simulated <= gamma * (1 + 1e-9)).sum())) / (1 + len(simulated))
    info = {"where": float(_grid()[tails.argmin()])}
    return HypothesisTest(Estimate(float(gamma), float("nan"), n=(len(values),)), p, UNIFORM, info)


def ecdf_band(n: int, *, level: float = 0.95) -> tuple[Tensor, Tensor, Tensor]:
    """The band that the ECDF of n uniform draws stays within, at all points together, with probability `level`.

    Returns:
        z, low and high, (49,) each: low <= ECDF(z) <= high.

    >>> z, low, high = ecdf_band(200)
    >>> bool((low < z).all() and (z < high).all())
    True
    """
    gamma = _simulated(n).quantile(1 - level, interpolation="lower")  # counts are discrete: at least `level`
    inside = _tails(n) >= gamma * (1 - 1e-9)  # (49, n + 1), an interval of counts at each point
    low = inside.double().argmax(1)
    high = n - inside.flip(1).double().argmax(1)
    return _grid(), low.double() / n, high.double() / n


def _unit(u: Any) -> Tensor:
    values = as_tensor(u, "u").detach().double().cpu()
    if values.ndim != 1 or len(values) < 10:
        raise ValueError(f"expected u of shape (n,) with n of at least 10, got {tuple(values.shape)}")
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError("expected u within [0, 1], got a value outside or NaN")
    return values


def _grid() -> Tensor:
    return torch.arange(1, POINTS, dtype=torch.float64) / POINTS


def _counts(u: Tensor) -> Tensor:
    """(M, n) -> (M, 49): how many are <= z at every point."""
    cell = (u * POINTS).ceil().long().clamp(1, POINTS) - 1
    return (
        torch.zeros(len(u), POINTS)
        .scatter_add_(1, cell, torch.ones_like(u, dtype=torch.float32))
        .cumsum(1)[:, :-1]
        .long()
    )


@lru_cache(maxsize=32)
def _tails(n: int) -> Tensor:
    """(49, n + 1): the two-sided tail probability of every count at every point."""
    k, z = torch.arange(n + 1, dtype=torch.float64), _grid().unsqueeze(1)
    ways = torch.lgamma(torch.tensor(n + 1.0).double()) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    mass = (ways + k * z.log() + (n - k) * torch.log1p(-z)).exp()
    return (2 * torch.minimum(mass.cumsum(1), mass.flip(1).cumsum(1).flip(1))).clamp(max=1)


@lru_cache(maxsize=32)
def _simulated(n: int) -> Tensor:
    """(2000,): gamma of uniform draws, always of the same seed."""
    generator, parts = generator_for(n), []
    for _ in range(0, SIMULATIONS, 200):
        counts = _counts(torch.rand(200, n, generator=generator, dtype=torch.float64))
        parts.append(_tails(n).gather(1, counts.T).amin(0))
    return torch.cat(parts)
