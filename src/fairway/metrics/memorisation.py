"""Does a model replay its training rows? A picture, a test, and the coverage that is read beside it.

Distances in an extractor's features, T the distinct training rows. How much nearer is a row to one training row than
to any other:

    rho(x) = d(x, nearest of T) / d(x, second nearest of T)            in [0, 1]; a copy has 0

    copied   share of samples with rho below the 5 % quantile of fresh held-out rows, in excess of the held-out share
    z        Mann-Whitney of rho, samples against held-out rows: about N(0, 1) for fresh data, far below 0 for copies
    p        one-sided: the smaller of two p-values, doubled: of z (all ranks), and of the count below the quantile
             (a few exact copies in a set that is otherwise too far out do not move z)

Ranking samples against held-out rows is the three-sample test of Meehan, Chaudhuri and Dasgupta (2020,
arXiv:2004.05675). Their distances are compared within cells of the data space, since a model that shrinks towards the
middle comes nearer to training rows there without copying one; the ratio does the same with no cells to choose.
Blind to: copies with noise of the size of the spacing, copies changed in ways that the extractor weighs (moved,
recoloured), copies of rows whose near-duplicates lie in T as well.

Memory alone is half a verdict: a constant copies nothing, a full replay covers everything. So one record holds both.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.metrics.estimate import Estimate
from fairway.metrics.features.extractor import Extractor, features_of, known, protocol_of, raw
from fairway.metrics.features.neighbours import density_coverage, nearest

QUANTILE = 0.05  # of the held-out ratios, below which a row is as near to one training row as a copy


@dataclass(frozen=True)
class Memorisation:
    """What a model replays, beside what it covers.

    Args:
        copied: share of samples that are nearer to one training row than fresh rows ever are.
        z: of the ranks; p_value: of both tests, one-sided.
        coverage: share of balls around held-out rows that a sample reaches (k = 5).
    """

    copied: Estimate
    z: float
    p_value: float
    coverage: Estimate

    def __str__(self) -> str:
        return f"copied {self.copied} (p {self.p_value:.2g}, z {self.z:.1f}), coverage {self.coverage}"


def memorisation(samples: Any, train: Any, held_out: Any, extractor: Extractor = raw) -> Memorisation:
    """Whether samples (n, *E) replay training rows (t, *E), by held-out rows (m, *E) of the same law.

    Samples and held-out rows are taken to be independent draws.

    Raises:
        ValueError: rows that do not fit the extractor, fewer than 20 samples or held-out rows, or fewer than two
            distinct training rows.

    >>> x = torch.randn(600, 4, generator=torch.Generator().manual_seed(0))
    >>> train, held_out, fresh = x.split(200)
    >>> memorisation(fresh, train, held_out).p_value > 0.01, memorisation(train, train, held_out).p_value < 1e-9
    (True, True)
    """
    x, rows, real = (
        features_of(extractor, part, what)
        for part, what in ((samples, "samples"), (train, "train"), (held_out, "held_out"))
    )
    if min(len(x), len(real)) < 20:
        raise ValueError(f"expected at least 20 samples and held-out rows, got {len(x)} and {len(real)}")
    distinct = rows.unique(dim=0)
    if len(distinct) < 2:
        raise ValueError(f"expected at least two distinct training rows, got {len(distinct)}")
    ours, theirs = ratio(x, distinct), ratio(real, distinct)
    protocol = protocol_of(extractor, len(x), len(real), len(rows), split="samples, held out, train")
    copied, p_few = _below_quantile(ours, theirs, protocol)
    z = mann_whitney(ours, theirs)
    p_all = 0.5 * math.erfc(-z / math.sqrt(2))
    return Memorisation(copied, z, min(1.0, 2 * min(p_few, p_all)), _coverage(x, real, extractor))


def _coverage(x: Tensor, real: Tensor, extractor: Extractor) -> Estimate:
    """Of features that are there already, under the extractor's name."""
    return density_coverage(x, real, known(extractor), split="held out")["coverage"]


def ratio(x: Tensor, train: Tensor) -> Tensor:
    """rho (n,): distance to the nearest over that to the second nearest training row; 0 on a training row."""
    apart, _ = nearest(x, train, 2)
    return apart[:, 0] / apart[:, 1].clamp_min(torch.finfo(apart.dtype).tiny)


def mann_whitney(a: Tensor, b: Tensor) -> float:
    """z of the rank-sum of a (n,) against b (m,): below 0 where a is smaller; ties share their ranks.

    >>> round(mann_whitney(torch.arange(30.0), torch.arange(30.0) + 0.5), 2)
    -0.22
    """
    n, m = len(a), len(b)
    pool = torch.cat([a, b]).sort().values
    ranks = (torch.searchsorted(pool, a) + torch.searchsorted(pool, a, right=True) + 1).double() / 2
    ties = pool.unique(return_counts=True)[1].double()
    shrink = 1 - float((ties**3 - ties).sum()) / ((n + m) ** 3 - (n + m))
    if shrink <= 0:
        return 0.0  # one value only: no ranks
    sd = math.sqrt(n * m * (n + m + 1) / 12 * shrink)
    return float(ranks.sum() - n * (n + m + 1) / 2) / sd


def _below_quantile(ours: Tensor, theirs: Tensor, protocol: str) -> tuple[Estimate, float]:
    """The excess share of samples below the held-out quantile, and the p-value of that many."""
    n, m = len(ours), len(theirs)
    rank = max(1, math.ceil(QUANTILE * m))
    threshold = theirs.sort().values[rank - 1]
    count, expected = int((ours < threshold).sum()), float((theirs < threshold).sum()) / m
    share = count / n
    error = math.sqrt(share * (1 - share) / n + expected * (1 - expected) / m) / (1 - expected)
    found = Estimate(
        max(0.0, (share - expected) / (1 - expected)),
        standard_error=error,
        method="estimate",
        n=(n, m),
        protocol=protocol,
        info={"threshold": float(threshold)},
    )
    return found, _at_least(count, n, m, rank)


def _at_least(count: int, n: int, m: int, rank: int) -> float:
    """P(at least `count` of n lie below the `rank`-th smallest of m others of the same law), exactly.

    In the pooled order it says that of the first count + rank - 1 at most rank - 1 are of the m: hypergeometric.
    """
    if count == 0:
        return 1.0
    first = count + rank - 1
    logs = [_log_choose(m, j) + _log_choose(n, first - j) for j in range(max(0, first - n), min(rank, m + 1))]
    total = torch.tensor(logs, dtype=torch.float64).logsumexp(0) - _log_choose(n + m, first)
    return min(1.0, float(total.exp()))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


# -- the picture ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Neighbours:
    """Samples beside the training rows that are nearest to them.

    Args:
        samples: (n, *E). rows: (n, k, *E), nearest first. distances, index: (n, k), in features; into the training set.
    """

    samples: Tensor
    rows: Tensor
    distances: Tensor
    index: Tensor

    def grid(self) -> Tensor:
        """(n, 1 + k, *E): each sample, then its neighbours."""
        return torch.cat([self.samples.unsqueeze(1), self.rows.to(self.samples.dtype)], 1)

    def most_copied(self, count: int) -> "Neighbours":
        """The samples that are nearest to one training row relative to the next (by distance alone where k = 1)."""
        one = self.distances[:, 0]
        by = one / self.distances[:, 1].clamp_min(1e-300) if self.distances.shape[1] > 1 else one
        order = by.argsort(stable=True)[:count]
        return Neighbours(self.samples[order], self.rows[order], self.distances[order], self.index[order])


def nearest_rows(samples: Any, train: Any, k: int = 5, extractor: Extractor = raw) -> Neighbours:
    """The k training rows (t, *E) nearest to each sample (n, *E), by distance in features.

    Raises:
        ValueError: rows that do not fit the extractor, or fewer than k training rows.

    >>> found = nearest_rows(torch.tensor([[0.0], [9.0]]), torch.tensor([[1.0], [3.0], [8.0]]), k=2)
    >>> found.index.tolist(), found.distances.tolist()
    ([[0, 1], [2, 1]], [[1.0, 3.0], [1.0, 6.0]])
    """
    x, rows = (as_tensor(getattr(part, "x", part)).detach().cpu() for part in (samples, train))
    distances, index = nearest(features_of(extractor, x), features_of(extractor, rows, "train"), k)
    return Neighbours(x, rows[index], distances, index)
