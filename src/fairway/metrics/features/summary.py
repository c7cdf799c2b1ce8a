"""Every number of two sets of rows in one extractor's features, beside the same numbers of fresh real data.

    frechet, kernel_distance              distances, lower is better, read beside the floor
    precision, recall, density, coverage  shares, higher is better, up to what fresh data reach
    score                                 Inception-style, where the extractor is a classifier

The floor is measured: `fresh` real rows and the data are pooled, dealt out again at random into sets of the same two
sizes, and each number is taken between those (mean and standard deviation over a few deals). The fresh rows must be
new to the extractor as well: a classifier knows the rows that it was trained on.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fairway.core.random import generator_for
from fairway.metrics.estimate import Estimate
from fairway.metrics.features.extractor import Extractor, both, features_of, known, raw
from fairway.metrics.features.frechet import frechet
from fairway.metrics.features.kernel import kernel_distance
from fairway.metrics.features.neighbours import density_coverage, precision_recall
from fairway.metrics.features.score import inception_score


def feature_metrics(
    samples: Any,
    data: Any,
    extractor: Extractor = raw,
    *,
    fresh: Any = None,
    split: str = "",
    deals: int = 10,
    seed: int = 0,
) -> dict[str, Estimate]:
    """All feature metrics of samples (n, *E) against data (m, *E).

    Args:
        extractor: (n, *E) -> (n, F); with a method `probabilities` (a `Classifier`), the score is among the numbers.
        fresh: at least n further real rows, from the law of the data and new to the extractor: adds the floor.
        split: what the data rows are ("test"), for the protocol.
        deals: how often fresh rows and data are dealt out for the floor. seed: of the deals.

    Raises:
        ValueError: rows that do not fit each other or the extractor, too few of them, or fewer than two deals.

    >>> x = torch.randn(900, 4, generator=torch.Generator().manual_seed(0))
    >>> found = feature_metrics(x[:300] + 1, x[300:600], fresh=x[600:])
    >>> found["frechet"].value > 3 > 10 * found["frechet"].floor, sorted(found)[0]
    (True, 'coverage')
    """
    a, b = both(samples, data, extractor)
    found = _numbers(a, b, known(extractor), split)
    asked = getattr(extractor, "probabilities", None)
    p = None if asked is None else (_rows(asked, samples), _rows(asked, data))
    if p is not None:
        found["score"] = inception_score(p[0], classifier=extractor.name)
    if fresh is None:
        return found
    more = features_of(extractor, fresh, "fresh")
    if len(more) < len(a) or deals < 2:
        raise ValueError(f"expected at least {len(a)} fresh rows and 2 deals, got {len(more)} and {deals}")
    pool = torch.cat([b, more])
    classes = None if p is None or asked is None else torch.cat([p[1], _rows(asked, fresh)])
    floors = [
        _deal(pool, classes, len(a), len(b), known(extractor), generator_for(seed, deal)) for deal in range(deals)
    ]
    return {name: _beside(value, [floor[name].value for floor in floors]) for name, value in found.items()}


def _rows(asked: Any, x: Any) -> Tensor:
    return asked(getattr(x, "x", x))


def _numbers(a: Tensor, b: Tensor, extractor: Extractor, split: str) -> dict[str, Estimate]:
    """Everything that is computed from features alone."""
    return {
        "frechet": frechet(a, b, extractor, split=split),
        "kernel_distance": kernel_distance(a, b, extractor, split=split),
        **precision_recall(a, b, extractor, split=split),
        **density_coverage(a, b, extractor, split=split),
    }


def _deal(
    pool: Tensor, classes: Tensor | None, n: int, m: int, extractor: Extractor, generator: torch.Generator
) -> dict[str, Estimate]:
    """The numbers between n and m rows drawn from one pool without replacement."""
    order = torch.randperm(len(pool), generator=generator)
    found = _numbers(pool[order[:n]], pool[order[n : n + m]], extractor, "")
    if classes is not None:
        found["score"] = inception_score(classes[order[:n]])
    return found


def _beside(value: Estimate, floors: list[float]) -> Estimate:
    spread = torch.tensor(floors, dtype=torch.float64)
    return replace(value, floor=float(spread.mean()), floor_sd=float(spread.std()))
