"""Which modes of a known mixture a model found, as five numbers (the protocol of VEEGAN, completed).

K modes with centres c_k, covariances A_k A_k^T (a standard deviation s_k is A_k = s_k 1) and weights w_k. A sample's
offset from its nearest mode, in units of that mode, is u = A_k^-1 (x - c_k); with |u| <= 3 it is of high quality.

    captured       modes with at least one high-quality sample
    fair           modes with at least 20 % of their fair share: n w_k / 5 high-quality samples
    high_quality   share of high-quality samples: real data read P(chi2_d <= 9), which is 0.9889 in the plane
    kl             KL(shares of all samples by nearest mode || w), nats: between 0 and log(1 / min w)
    spread         the standard deviation s inside modes over the true one: of the high-quality samples about their own
                   mode's mean, with the cut at 3 undone: E[|u|^2 ; |u| <= 3] = s^2 d F_{d+2}(9/s^2) / F_d(9/s^2), F_d
                   the distribution function of chi2_d. Real data read 1, a point 0, an evenly filled ball inf

Captured alone is what is usually quoted, and 2,500 samples of uniform noise over the box of a grid of 25 modes score
25 (1 - exp(-2500 pi 0.15^2 / 100)) = 20.7: hence `fair`, and that row beside every table (`reference_rows`). Floors
are closed forms (that of kl for ten samples per mode or more). Not seen by any of the five: which way a mode is
squeezed (the spread is a mean over directions), its shape, memorised samples. In high dimension few real samples lie
within 3 (d = 10: 47 %): read the floor.

References: Srivastava, Valkov, Russell, Gutmann and Sutton (2017), VEEGAN, arXiv:1705.07761, section 4.1; Lin et al.
(2018), PacGAN, arXiv:1712.04086, for the divergence of the shares.
"""

import math
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.random import Seed, generator_for, seed_of
from fairway.metrics.estimate import Estimate

REACH = 3.0  # standard deviations within which a sample is of high quality
FAIR = 0.2  # of the fair share
WIDEST = 30.0  # spread from which modes count as evenly filled
ENTRIES = 2**22  # offsets (samples x modes x dimensions) at once


class Mixture:
    """The modes of a mixture of Gaussians.

    Args:
        centres: (K, d).
        std: of the modes: a number, (K,), or square roots of the covariances (K, d, d), one for all as (d, d).
        weights: (K,), positive; equal by default.

    Raises:
        ValueError: shapes that do not fit, weights or deviations that are not positive.
    """

    def __init__(self, centres: Any, std: Any, weights: Any = None) -> None:
        self.centres = as_tensor(centres, "centres").double()
        if self.centres.ndim != 2:
            raise ValueError(f"expected centres of shape (K, d), got {tuple(self.centres.shape)}")
        k, d = self.centres.shape
        self.roots = _roots(as_tensor(std, "std").double(), k, d)
        self.weights = torch.ones(k).double() if weights is None else as_tensor(weights, "weights").double()
        if self.weights.shape != (k,) or not bool((self.weights > 0).all()):
            raise ValueError(f"expected {k} positive weights, got {self.weights.tolist()}")
        self.weights = self.weights / self.weights.sum()

    @property
    def dims(self) -> int:
        return self.centres.shape[1]

    def __len__(self) -> int:
        return len(self.centres)

    def offsets(self, x: Any) -> tuple[Tensor, Tensor]:
        """The nearest mode (n,) of each sample (n, d), and the offset u (n, d) from it in units of that mode.

        Raises:
            ValueError: samples of another shape, or not finite.
        """
        rows = as_tensor(x, "samples").detach().double().cpu()
        if rows.ndim != 2 or rows.shape[1] != self.dims or not bool(torch.isfinite(rows).all()):
            raise ValueError(f"expected finite samples of shape (n, {self.dims}), got {tuple(rows.shape)}")
        inverse, size = torch.linalg.inv(self.roots), max(1, ENTRIES // self.centres.numel())
        found = [self._block(block, inverse) for block in rows.split(size)]
        return torch.cat([mode for mode, _ in found]), torch.cat([u for _, u in found])

    def _block(self, rows: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
        u = torch.einsum("nki,kji->nkj", rows.unsqueeze(1) - self.centres, inverse)
        mode = u.square().sum(2).argmin(1)
        return mode, u[torch.arange(len(rows)), mode]

    def sample(self, n: int, *, width: float = 1.0, generator: Seed = None) -> Tensor:
        """n draws (n, d), with modes `width` times as wide."""
        noise = generator_for(seed_of(generator))
        mode = torch.multinomial(self.weights, n, replacement=True, generator=noise)
        u = torch.randn(n, self.dims, generator=noise, dtype=torch.float64)
        return self.centres[mode] + width * (self.roots[mode] @ u.unsqueeze(-1)).squeeze(-1)

    def box(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest corner (d,): the range of the centres and half a gap between neighbours on each side, so
        that the modes of a grid share it out in equal cells."""
        apart = torch.cdist(self.centres, self.centres).fill_diagonal_(torch.inf).min() if len(self) > 1 else 0.0
        return self.centres.amin(0) - apart / 2, self.centres.amax(0) + apart / 2


def mode_metrics(samples: Any, centres: Any, std: Any, weights: Any = None) -> dict[str, Estimate]:
    """The five numbers of samples (n, d) against a mixture: see `Mixture` for the other arguments.

    Raises:
        ValueError: shapes that do not fit, or samples that are not finite.

    >>> from fairway.data.toy import grid, grid_centres
    >>> found = mode_metrics(grid(2500).x, grid_centres(), 0.05)
    >>> [round(found[name].value, 2) for name in ("captured", "fair", "high_quality", "kl", "spread")]
    [25.0, 25.0, 0.99, 0.0, 0.99]
    """
    return _five(samples, Mixture(centres, std, weights))


def modes_by_labels(labels: Any, classes: int, weights: Any = None) -> dict[str, Estimate]:
    """captured, fair and kl where a classifier says which mode a sample belongs to (1,000 for three stacked digits).

    Args:
        labels: (n,) integers 0 to classes - 1. weights: (classes,), positive; equal by default.

    Raises:
        ValueError: labels of another shape or range, or weights that do not fit.

    >>> found = modes_by_labels([0, 0, 1, 1], classes=4)
    >>> found["captured"].value, round(found["kl"].value, 4)  # log 2
    (2.0, 0.6931)
    """
    found = as_tensor(labels, "labels").cpu()
    if found.ndim != 1 or found.is_floating_point() or not 0 <= int(found.min()) <= int(found.max()) < classes:
        raise ValueError(f"expected integer labels (n,) of 0 to {classes - 1}, got {found.dtype} {tuple(found.shape)}")
    law = Mixture(torch.zeros(classes, 1), 1.0, weights).weights
    counts = torch.bincount(found.long(), minlength=classes).double()
    return _of_counts(counts, counts, law, 1.0, f"{classes} classes; n {len(found)}")


def reference_rows(
    centres: Any, std: Any, weights: Any = None, *, n: int = 2500, generator: Seed = 0
) -> dict[str, dict[str, Estimate]]:
    """The rows that a table of `mode_metrics` is read beside: real data; uniform noise over the box of the modes;
    everything on one mode; all modes, a tenth as wide.

    Raises:
        ValueError: as `Mixture`.
    """
    law, seed = Mixture(centres, std, weights), seed_of(generator)
    low, high = law.box()
    uniform = torch.rand(n, law.dims, generator=generator_for(seed, 1), dtype=torch.float64)
    one = Mixture(law.centres[:1], law.roots[:1])
    return {
        "real data": _five(law.sample(n, generator=seed), law),
        "uniform noise": _five(low + (high - low) * uniform, law),
        "one mode": _five(one.sample(n, generator=seed), law),
        "narrow modes": _five(law.sample(n, width=0.1, generator=seed), law),
    }


# -- the numbers ------------------------------------------------------------------------------------------------
def _five(samples: Any, law: Mixture) -> dict[str, Estimate]:
    mode, u = law.offsets(samples)
    n, d = u.shape
    good = u.square().sum(1) <= REACH**2
    inside = float(_chi2(torch.tensor(REACH**2, dtype=u.dtype), d))
    of_good, of_all = (torch.bincount(part, minlength=len(law)).double() for part in (mode[good], mode))
    protocol = f"{len(law)} modes in {d} dimensions; n {n}"
    share = float(good.double().mean())
    quality = Estimate(
        share, standard_error=math.sqrt(share * (1 - share) / n), method="estimate",
        floor=inside, floor_sd=math.sqrt(inside * (1 - inside) / n), n=(n,), protocol=protocol,
    )  # fmt: skip
    found = _of_counts(of_good, of_all, law.weights, inside, protocol)
    return {
        "captured": found["captured"],
        "fair": found["fair"],
        "high_quality": quality,
        "kl": found["kl"],
        "spread": _spread(u[good], mode[good], protocol),
    }


def _of_counts(good: Tensor, every: Tensor, weights: Tensor, inside: float, protocol: str) -> dict[str, Estimate]:
    """captured, fair and kl of the numbers of good and of all samples per mode (K,), beside what real data read, of
    which a share `inside` is good."""
    n = int(every.sum())
    enough = (FAIR * n * weights).ceil().clamp_min(1)
    real_captured, real_fair = 1 - (1 - inside * weights) ** n, torch.special.gammainc(enough, inside * n * weights)
    shares = every / n
    logs = torch.xlogy(torch.ones_like(shares), torch.where(shares > 0, shares / weights, 1.0))
    kl = float((shares * logs).sum())
    spread = float((shares * (logs - kl).square()).sum()) ** 0.5
    freedom = len(weights) - 1
    return {
        "captured": _count(good > 0, real_captured, n, protocol),
        "fair": _count(good >= FAIR * n * weights, real_fair, n, protocol),
        "kl": Estimate(
            kl, standard_error=spread / n**0.5, method="estimate", unit="nats",
            floor=freedom / (2 * n), floor_sd=math.sqrt(2 * freedom) / (2 * n), n=(n,), protocol=protocol,
        ),
    }  # fmt: skip


def _count(hits: Tensor, real: Tensor, n: int, protocol: str) -> Estimate:
    """A number of modes, beside its mean and deviation over real data given each mode's probability to be hit."""
    floor_sd = float((real * (1 - real)).sum()) ** 0.5
    return Estimate(
        float(hits.sum()), standard_error=math.nan, method="estimate",
        floor=float(real.sum()), floor_sd=floor_sd, n=(n,), protocol=protocol,
    )  # fmt: skip


def _spread(u: Tensor, mode: Tensor, protocol: str) -> Estimate:
    """The width of modes over the true one, from offsets u (N, d) of high-quality samples."""
    modes, place = mode.unique(return_inverse=True)
    freedom, d = len(u) - len(modes), u.shape[1]
    if freedom < 1:
        return Estimate(math.nan, standard_error=math.nan, method="estimate", n=(len(u),), protocol=protocol)
    means = torch.zeros(len(modes), d, dtype=u.dtype).index_add_(0, place, u)
    means = means / torch.bincount(place).unsqueeze(1)
    squares = (u - means[place]).square().sum(1)
    second, error = squares.sum() / freedom, squares.std() / freedom**0.5
    low, value, high = _width(torch.stack([second - error, second, second + error]), d).tolist()
    return Estimate(
        value, standard_error=(high - low) / 2 if math.isfinite(high) else math.nan, method="estimate",
        floor=1.0, floor_sd=1 / math.sqrt(2 * d * freedom), n=(len(u),), protocol=protocol,
    )  # fmt: skip


def _width(second: Tensor, d: int) -> Tensor:
    """s with E[|u|^2 ; |u| <= 3] = second for u ~ N(0, s^2 I), by bisection; inf from an evenly filled ball on."""
    low, high = torch.zeros_like(second), torch.full_like(second, WIDEST)
    for _ in range(50):
        middle = (low + high) / 2
        more = _second_moment(middle, d) < second
        low, high = torch.where(more, middle, low), torch.where(more, high, middle)
    return torch.where(low > 0.999 * WIDEST, torch.inf, low)


def _second_moment(s: Tensor, d: int) -> Tensor:
    """E|u|^2 of N(0, s^2 I) cut at |u| <= 3."""
    cut = (REACH / s) ** 2
    return s**2 * d * _chi2(cut, d + 2) / _chi2(cut, d)


def _chi2(x: Tensor, d: int) -> Tensor:
    """P(chi2_d <= x)."""
    return torch.special.gammainc(torch.full_like(x, d / 2), x / 2)


def _roots(std: Tensor, k: int, d: int) -> Tensor:
    """Square roots of the covariances (K, d, d) from a deviation in any of its forms."""
    if std.ndim <= 1 and std.shape in ((), (k,)):
        if not bool((std > 0).all()):
            raise ValueError(f"expected positive standard deviations, got {std.tolist()}")
        return std.expand(k)[:, None, None] * torch.eye(d, dtype=std.dtype)
    if std.shape in ((d, d), (k, d, d)):
        return std.expand(k, d, d)
    raise ValueError(f"expected std as a number, ({k},), ({d}, {d}) or ({k}, {d}, {d}), got {tuple(std.shape)}")
