"""Inception-style score: are samples recognised, and are they of many classes?

    score = exp( mean_i KL( p(.|x_i) || p ) ),   p = mean_i p(.|x_i)          between 1 and the number of classes

(Salimans et al. 2016, arXiv:1606.03498, there with Inception's 1,000 classes.) Sure answers lower the entropy of
p(.|x), many classes raise that of p. It never looks at the data: a real test set has a score of its own, the only one
to aim at; memorised rows reach it, one perfect row per class exceeds it, what happens inside a class it cannot see.
All samples are one set; averaging over ten parts, as is customary, biases it down. Standard error: delta method,
score * sd_i(KL_i) / sqrt(n).
"""

from typing import Any

import torch

from fairway.core.arrays import as_tensor
from fairway.metrics.estimate import Estimate


def inception_score(probabilities: Any, *, classifier: str = "not stated") -> Estimate:
    """The score of class probabilities (n, classes), a number between 1 and `classes`.

    Args:
        classifier: the name of who gave them, for the protocol.

    Raises:
        ValueError: not probabilities over at least two classes, or fewer than two rows.

    >>> inception_score(torch.eye(4)).value
    4.0
    """
    p = as_tensor(probabilities, "probabilities").detach().double().cpu()
    if p.ndim != 2 or p.shape[1] < 2 or len(p) < 2:
        raise ValueError(f"expected probabilities (n, classes), at least 2 of each, got {tuple(p.shape)}")
    if not bool((p >= 0).all()) or not torch.allclose(p.sum(1), torch.ones(len(p), dtype=p.dtype), atol=1e-3):
        raise ValueError("expected rows of probabilities that sum to 1; pass logits through softmax(-1) first")
    divergence = (torch.xlogy(p, p) - torch.xlogy(p, p.mean(0))).sum(1)
    value = divergence.mean().exp()
    return Estimate(
        float(value),
        standard_error=float(value * divergence.std() / len(p) ** 0.5),
        method="estimate", n=(len(p),), protocol=f"classes of {classifier}; n {len(p)}",
    )  # fmt: skip
