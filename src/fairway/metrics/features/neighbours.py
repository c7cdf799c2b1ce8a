"""Precision, recall, density and coverage: balls around rows, as far as the k-th neighbour of their own kind.

With B_k(x_i; X) the ball around x_i that reaches its k-th nearest other row of X, x data, y samples, n samples, m rows:

    precision = share of y in some B_k(x_i; X)                k = 3   are samples where data are?
    recall    = share of x in some B_k(y_j; Y)                k = 3   are data where samples are?
    density   = 1 / (k n) sum over i, j of 1[y_j in B_k(x_i; X)]      k = 5   precision that counts balls; may exceed 1
    coverage  = share of balls B_k(x_i; X) with a sample in           k = 5   recall without balls around samples

Kynkäänniemi et al. 2019 (arXiv:1904.06991) and Naeem et al. 2020 (arXiv:2002.09797). Fresh data score below 1
(coverage 1 - 2^-k for n = m large; precision and recall less in high dimension), so read them beside their floor.
A single outlier has a large ball, which inflates precision and recall: noise around the data raises *recall*. None of
the four sees memorisation, nor that one of two modes is too heavy. Standard errors are those of a share given the
balls.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.metrics.estimate import Estimate
from fairway.metrics.features.extractor import Extractor, both, protocol_of, raw

BLOCK = 1000  # rows of a matrix of distances at once
SAME = 1e-13  # of the squared lengths: what is nearer is one row, up to the rounding of a matrix product


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared Euclidean distances (n, m) of rows x (n, F) and y (m, F); 0 between equal rows.

    Computed as |x|^2 + |y|^2 - 2 x.y, which leaves equal rows a rounding error apart: those are set to 0.
    """
    centre = y.mean(0)
    x, y = x - centre, y - centre
    lengths = x.square().sum(1, keepdim=True) + y.square().sum(1)
    squared = torch.addmm(lengths, x, y.T, alpha=-2)
    return torch.where(squared > SAME * lengths, squared, 0.0)


def nearest(x: Tensor, y: Tensor, k: int, *, without_self: bool = False) -> tuple[Tensor, Tensor]:
    """Distances and indices (n, k) of the k rows of y nearest to each row of x, in blocks.

    Args:
        without_self: y is x itself, and a row is not its own neighbour.

    Raises:
        ValueError: k rows are not there.
    """
    if not 1 <= k <= len(y) - without_self:
        raise ValueError(f"expected k of 1 to {len(y) - without_self} neighbours, got {k}")
    found = []
    for start in range(0, len(x), BLOCK):
        apart = squared_distances(x[start : start + BLOCK], y)
        if without_self:
            row = torch.arange(len(apart))
            apart[row, row + start] = torch.inf
        found.append(apart.topk(k, largest=False))
    return torch.cat([part.values for part in found]).sqrt(), torch.cat([part.indices for part in found])


def radii(x: Tensor, k: int) -> Tensor:
    """Distance (n,) of each row to its k-th nearest other row."""
    return nearest(x, x, k, without_self=True)[0][:, -1]


def balls_around(y: Tensor, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """In how many balls B_k(x_i; X) each row of y lies (n,), and how many rows of y lie in each ball (m,)."""
    reach = radii(x, k).square() * (1 + 1e-12)  # the ball is closed, whatever a root and a square did
    of_rows, in_balls = [], torch.zeros(len(x), dtype=torch.int64)
    for block in y.split(BLOCK):
        inside = squared_distances(block, x) <= reach
        of_rows.append(inside.sum(1))
        in_balls += inside.sum(0)
    return torch.cat(of_rows), in_balls


def precision_recall(
    samples: Any, data: Any, extractor: Extractor = raw, *, k: int = 3, split: str = ""
) -> dict[str, Estimate]:
    """Improved precision and recall of samples (n, *E) against data (m, *E): Kynkäänniemi et al. 2019, algorithm 1.

    Raises:
        ValueError: rows that do not fit each other or the extractor, or fewer than k + 1.

    >>> x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    >>> found = precision_recall(0.1 * x[:200], x[200:])
    >>> found["precision"].value, found["recall"].value < 0.1
    (1.0, True)
    """
    a, b = both(samples, data, extractor)
    hits = {"precision": balls_around(a, b, k)[0] > 0, "recall": balls_around(b, a, k)[0] > 0}
    protocol = protocol_of(extractor, len(a), len(b), split=split, k=k)
    return {name: _share(hit, (len(a), len(b)), protocol) for name, hit in hits.items()}


def density_coverage(
    samples: Any, data: Any, extractor: Extractor = raw, *, k: int = 5, split: str = ""
) -> dict[str, Estimate]:
    """Density and coverage of samples (n, *E) against data (m, *E): Naeem et al. 2020, equations 3 and 4.

    Raises:
        ValueError: rows that do not fit each other or the extractor, or fewer than k + 1.

    >>> x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    >>> density_coverage(x[:1].expand(200, 2), x[200:])["coverage"].value < 0.1
    True
    """
    a, b = both(samples, data, extractor)
    of_rows, in_balls = balls_around(a, b, k)
    sizes, protocol = (len(a), len(b)), protocol_of(extractor, len(a), len(b), split=split, k=k)
    return {
        "density": _share(of_rows.double() / k, sizes, protocol),
        "coverage": _share(in_balls > 0, sizes, protocol),
    }


def _share(hits: Tensor, sizes: tuple[int, ...], protocol: str) -> Estimate:
    """The mean of rows with the standard error of a mean."""
    hits = hits.double()
    error = float(hits.std(correction=0)) / len(hits) ** 0.5
    return Estimate(float(hits.mean()), standard_error=error, method="estimate", n=sizes, protocol=protocol)
