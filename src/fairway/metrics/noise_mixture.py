"""Good log-likelihood, bad samples: p' = s p + (1 - s) noise with s = 1/100 (Theis, van den Oord and Bethge 2016, 3.3).

99 of 100 samples are noise. And yet p' >= s p everywhere, so on any x

    log p(x) - log p'(x) <= -log s = log 100 = 4.605 nats        whatever p, the noise and the dimension D
                                   = 4.605 / (D log 2) bits/dim  0.0085 at D = 784, 0.0022 at 3,072

while good models differ by hundreds of nats there. What n = 1,000 samples of p' show against 1,000 rows of p = N(0, I),
noise N(0, 9 I) (brackets: samples of p itself, what fresh data reach; `dilution_table`):

    D     gap, nats   bits/dim   coverage      Fréchet / D     learned test, p      recall        neighbours, p
    2     1.25        0.904      0.70 (0.96)   3.80 (0.00)     0.83 (0.49) 0.001    0.98 (0.97)   0.74 (0.51) 0.001
    10    4.25        0.612      0.09 (0.97)   4.02 (0.01)     0.97 (0.50) 0.001    1.00 (0.87)   0.89 (0.51) 0.001
    64    4.605       0.1038     0.06 (0.97)   4.02 (0.04)     0.95 (0.51) 0.001    1.00 (0.62)   0.50 (0.51) 0.66
    784   4.605       0.0085     0.07 (0.98)   5.11 (0.40)     0.74 (0.48) 0.001    1.00 (0.45)   0.50 (0.50) 0.61

Coverage, the Fréchet distance and a learned test see it. Recall does not: balls around far samples are large and hold
all the data. Nor does the nearest-neighbour test where D is large: noise has its nearest neighbours among the data.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.event import Event
from fairway.core.numerics import LOG_2
from fairway.core.random import Seed, generator_for, mix, seed_of
from fairway.metrics.estimate import Estimate
from fairway.metrics.features import density_coverage, frechet, precision_recall
from fairway.metrics.features.extractor import Extractor, raw
from fairway.metrics.two_sample.classifier import classifier_test
from fairway.metrics.two_sample.neighbours import neighbour_test
from fairway.models.classical.gaussian import Gaussian

SHARE = 0.01
WIDTH = 3.0  # standard deviation of the table's noise


@dataclass(frozen=True)
class Dilution:
    """A model and its mixture with noise, by log-likelihood and by samples.

    Args:
        dims: entries per row. share: s.
        gap: mean of log p(x) - log p'(x), nats.
        diluted, pure: numbers of samples of p' and of p against the rows, by name.
        p_values: of the tests among them, for the samples of p'.
    """

    dims: int
    share: float
    gap: Estimate
    diluted: dict[str, Estimate]
    pure: dict[str, Estimate]
    p_values: dict[str, float]

    @property
    def bits_per_dim(self) -> float:
        """The gap in bits per entry."""
        return self.gap.value / self.dims / LOG_2


def largest_gap(share: float = SHARE) -> float:
    """-log s: what mixing a share 1 - s of anything into p can cost at most, nats per row.

    >>> round(largest_gap(), 3), round(largest_gap() / 784 / LOG_2, 4)
    (4.605, 0.0085)
    """
    if not 0 < share <= 1:
        raise ValueError(f"expected a share in (0, 1], got {share}")
    return -math.log(share)


def diluted_log_prob(log_prob: Tensor, log_noise: Tensor, share: float = SHARE) -> Tensor:
    """log p' = log(s p + (1 - s) noise) from log p and log noise, nats, elementwise.

    >>> diluted_log_prob(torch.tensor([0.0]), torch.tensor([-1000.0]))
    tensor([-4.6052])
    """
    return torch.logaddexp(log_prob - largest_gap(share), log_noise + math.log1p(-share))


def diluted_samples(samples: Tensor, noise: Tensor, share: float = SHARE, generator: Seed = 0) -> Tensor:
    """Draws of p' from as many of p and of the noise, (n, *E) each: every row is kept with probability s."""
    largest_gap(share)  # checks it
    kept = torch.rand(len(samples), generator=generator_for(seed_of(generator))) < share
    return torch.where(kept.reshape(-1, *[1] * (samples.ndim - 1)), samples, noise)


@torch.no_grad()
def dilution(
    model: Any, noise: Any, x: Any, *, share: float = SHARE, extractor: Extractor = raw, generator: Seed = 0
) -> Dilution:
    """What mixing noise into a model costs in log-likelihood, and which numbers of samples see it.

    Args:
        model, noise: models with a log_prob, of one event.
        x: (n, *E) held-out rows; as many samples are drawn.
        share: s, of the model.
        extractor: coordinates for coverage, recall and the Fréchet distance.
        generator: seed.

    Raises:
        CapabilityError: no log_prob.
    """
    rows, seed = as_tensor(x), seed_of(generator)
    log_prob = model.log_prob(rows).double().cpu()
    losses = log_prob - diluted_log_prob(log_prob, noise.log_prob(rows).double().cpu(), share)
    gap = Estimate(
        float(losses.mean()), float(losses.std()) / len(rows) ** 0.5, method="estimate", unit="nats", n=(len(rows),)
    )
    own, other = (m.sample(len(rows), generator=mix(seed, k)).cpu() for k, m in enumerate((model, noise)))
    diluted, p_values = _numbers(rows, diluted_samples(own, other, share, mix(seed, 2)), extractor)
    pure, _ = _numbers(rows, own, extractor)
    return Dilution(rows[0].numel(), share, gap, diluted, pure, p_values)


def dilution_table(dims: Iterable[int] = (2, 10, 64, 784), *, n: int = 1000, generator: Seed = 0) -> list[Dilution]:
    """`dilution` of N(0, I) with noise N(0, 9 I), by dimension."""
    seed, found = seed_of(generator), []
    for d in dims:
        model, noise = _spherical(d, 1.0), _spherical(d, WIDTH)
        x = model.sample(n, generator=mix(seed, d, 0))
        found.append(dilution(model, noise, x, generator=mix(seed, d, 1)))
    return found


def _spherical(dims: int, width: float) -> Gaussian:
    model = Gaussian(Event((dims,)), covariance="spherical").double().eval()
    model.set_components(torch.ones(1), torch.zeros(1, dims), width**2 * torch.eye(dims).unsqueeze(0))
    return model


def _numbers(x: Tensor, samples: Tensor, extractor: Extractor) -> tuple[dict[str, Estimate], dict[str, float]]:
    tests = {"classifier": classifier_test(x, samples), "neighbours": neighbour_test(x, samples)}
    values = {
        "coverage": density_coverage(samples, x, extractor)["coverage"],
        "frechet": frechet(samples, x, extractor),
        "recall": precision_recall(samples, x, extractor)["recall"],
        **{name: test.statistic for name, test in tests.items()},
    }
    return values, {name: test.p_value for name, test in tests.items()}
