"""What a test of a hypothesis says, and how its p-value is made.

    p = P(statistic >= observed | the hypothesis is true)          small: the data speak against it

By permutation (Phipson and Smyth 2010): where the hypothesis makes B rearrangements of the data as likely as the data
themselves, the observed statistic is one of B + 1 exchangeable numbers, so

    p = (1 + #{permuted >= observed}) / (1 + B),        P(p <= a | hypothesis) <= a   for every a, at any sample size

never 0: 999 permutations cannot say less than 0.001. In closed form: Pearson's X^2 ~ chi^2(k), p = Q(k / 2, X^2 / 2).
A large p is no proof of equality: a test is blind to what its statistic does not see.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from fairway.metrics.estimate import Estimate


@dataclass(frozen=True)
class HypothesisTest:
    """The outcome of one test.

    Args:
        statistic: what was measured, as an `Estimate`.
        p_value: probability of a statistic at least as large under the hypothesis.
        hypothesis: what is tested, in words.
        info: anything else, by name.

    >>> found = HypothesisTest(Estimate(3.2), p_value=0.004, hypothesis="x and y have one law")
    >>> found.rejects(), str(found)
    (True, '3.2 (exact), p = 0.004: x and y have one law')
    """

    statistic: Estimate
    p_value: float
    hypothesis: str
    info: dict[str, Any] = field(default_factory=dict)

    def rejects(self, level: float = 0.05) -> bool:
        """Whether the hypothesis is rejected; a true one is with probability `level`."""
        return self.p_value <= level

    def __str__(self) -> str:
        return f"{self.statistic}, p = {self.p_value:.3g}: {self.hypothesis}"


def permutation_p_value(observed: Tensor, permuted: Tensor) -> float:
    """p-value of one statistic () among those of rearranged data (B,).

    >>> permutation_p_value(torch.tensor(2.5), torch.arange(4.0))
    0.4
    """
    slack = 1e-12 * permuted.abs().max()  # a rearrangement that gives the data back must count as equal
    return (1 + int((permuted >= observed - slack).sum())) / (1 + len(permuted))


def chi_square_p_value(statistic: Tensor, freedom: float) -> Tensor:
    """P(X >= statistic) for X ~ chi^2(freedom), elementwise.

    >>> round(float(chi_square_p_value(torch.tensor(3.841), 1)), 3)
    0.05
    """
    half = torch.as_tensor(freedom / 2, dtype=torch.float64)
    return torch.special.gammaincc(half, statistic.double() / 2)


def smallest(p_values: Tensor) -> float:
    """One p-value for several tests (k,) at once: k times the smallest (Bonferroni), at most 1.

    >>> smallest(torch.tensor([0.25, 0.4, 0.9]))
    0.75
    """
    return min(1.0, float(p_values.double().min()) * p_values.numel())
