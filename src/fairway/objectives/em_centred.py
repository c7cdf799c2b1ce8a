"""An E and an M step of Gaussian mixtures component by component, about points near the components' means.

Slower than features on few dimensions, faster on many, and accurate however narrow a component is and however far from
the others: squares are taken of u - c_k, with c_k the present mean.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.objective import Batch
from fairway.objectives.em_sums import Sums, chunks, diagonal, responsibilities, total_weight

LEAST = 512  # rows of a chunk: products of fewer are slow


def sums(model: Any, data: Batch) -> Sums:
    """The E step over these rows, and what the M step needs of it, about the present means."""
    x, weight = data.u.flatten(1), data.weight
    whole = _empty(model, x)
    for part in _parts(model, x):
        joint = model.log_joint(x[part]).mT.contiguous()
        whole.log_prob += responsibilities(joint, None if weight is None else weight[part])
        add(whole, x[part], joint, model.means)
    whole.weight += total_weight(len(x), weight, x.device)
    return whole


def sums_of_labels(model: Any, x: Tensor, weight: Tensor, label: Tensor, centres: Tensor) -> Sums:
    """Sums over rows (n, D) with weights (n,) that belong to one component each, about centres (K, D)."""
    whole = _empty(model, x)
    for part in _parts(model, x):
        member = torch.nn.functional.one_hot(label[part], len(centres)).to(x.dtype)
        add(whole, x[part], member.mT * weight[part], centres)
    whole.weight += weight.double().sum()
    return whole


def add(whole: Sums, x: Tensor, weight: Tensor, centres: Tensor) -> None:
    """Add rows (B, D) that count for weight (K, B) in each component, about centres (K, D)."""
    whole.count += weight.sum(1)
    for k, centre in enumerate(centres):
        centred = x - centre
        weighted = centred * weight[k].unsqueeze(1)
        whole.first[k] += weight[k] @ centred
        whole.second[k] += weighted.mT @ centred if whole.second.ndim == 3 else weighted.mul_(centred).sum(0)


def _empty(model: Any, x: Tensor) -> Sums:
    shape = (model.dims,) if diagonal(model.covariance) else (model.dims, model.dims)
    return Sums.zeros(model.components, *shape, device=x.device)


def _parts(model: Any, x: Tensor) -> list[slice]:
    return chunks(len(x), max(model.components * model.dims // 8, 1), x.device, LEAST)  # gone through part by part
