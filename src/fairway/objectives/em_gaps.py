"""An E and an M step of Gaussian mixtures where entries are missing.

Within component k a row's missing entries are replaced by their conditional means given the observed ones, and the
conditional covariances that this leaves out are added to the scatter (Little and Rubin 2002, chapter 11).
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core import parallel
from fairway.core.objective import Batch
from fairway.objectives.em_sums import Moments, diagonal, total_weight


def with_gaps(model: Any, data: Batch) -> tuple[Tensor, Moments]:
    """The mean log density and the moments, model units, over the rows of all processes."""
    assert data.observed is not None
    x, observed = data.u.flatten(1), data.observed.flatten(1)
    joint = model.log_joint_observed(x, observed)
    log_prob = joint.logsumexp(1)
    weight = (joint - log_prob.unsqueeze(1)).exp()
    if data.weight is not None:
        weight, log_prob = weight * data.weight.unsqueeze(1), log_prob * data.weight
    found = parallel.total(torch.stack([log_prob.double().sum(), total_weight(len(x), data.weight, x.device)]))
    return found[0] / found[1], _moments(model, x, observed, weight)


def _moments(model: Any, x: Tensor, observed: Tensor, weight: Tensor) -> Moments:
    """Moments of completed rows, from what a row counts for in a component (n, K)."""
    completed, spread = _complete(model, x, observed, weight)
    count = parallel.total(weight.double().sum(0)).clamp(min=1e-10)
    first = torch.stack([weight[:, k] @ x for k, x in enumerate(completed)]).double()
    means = parallel.total(first) / count.unsqueeze(1)
    centred = [(x - means[k].to(x.dtype)) * weight[:, k : k + 1].sqrt() for k, x in enumerate(completed)]
    scatter = parallel.total((torch.stack([x.mT @ x for x in centred]) + spread).double())
    return Moments(count, means, torch.diagonal(scatter, dim1=1, dim2=2) if diagonal(model.covariance) else scatter)


def patterns(observed: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The distinct masks of (B, D) booleans, each with the rows that have it."""
    masks, which, counts = torch.unique(observed, dim=0, return_inverse=True, return_counts=True)
    return list(zip(masks, which.argsort(stable=True).split(counts.tolist()), strict=True))


def _complete(model: Any, x: Tensor, observed: Tensor, weight: Tensor) -> tuple[list[Tensor], Tensor]:
    """Rows with conditional means filled in, per component, and the conditional covariances they leave out (K, D, D).

    Args:
        x, observed: (n, D).
        weight: (n, K) what a row counts for in a component.
    """
    completed, covariances = [x.clone() for _ in range(model.components)], model.covariances()
    spread = x.new_zeros(model.components, model.dims, model.dims)
    for pattern, index in patterns(observed):
        missing = (~pattern).nonzero().squeeze(1)
        for k in range(model.components if len(missing) else 0):
            mean, covariance = model.conditional_of(k, x[index], pattern, covariances[k])
            completed[k][index.unsqueeze(1), missing] = mean
            spread[k][missing.unsqueeze(1), missing] += weight[index, k].sum() * covariance
    return completed, spread
