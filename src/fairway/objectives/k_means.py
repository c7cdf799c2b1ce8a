"""k-means: centres and the rows nearest to them, a start for mixtures.

Start: k-means++ (Arthur and Vassilvitskii 2007), each new centre drawn with probability proportional to the squared
distance to the nearest one so far. Then rounds of Lloyd: label by the nearest centre, centre by the labels' mean.
"""

import torch
from torch import Tensor

LLOYD = 10


def k_means(x: Tensor, weight: Tensor, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Centres (k, D) and labels (n,) of rows (n, D) with weights (n,), after k-means++ and ten rounds."""
    centre = _plus_plus(x, weight, k, generator)
    for _ in range(LLOYD):
        label = torch.cdist(x, centre).argmin(1)
        sums = torch.zeros_like(centre).index_add_(0, label, x * weight.unsqueeze(1))
        count = torch.zeros_like(centre[:, 0]).index_add_(0, label, weight).unsqueeze(1)
        centre = torch.where(count > 0, sums / torch.where(count > 0, count, 1.0), centre)
    return centre, torch.cdist(x, centre).argmin(1)


def _plus_plus(x: Tensor, weight: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """Each new centre is drawn with probability proportional to the squared distance to the nearest one so far."""
    chosen = [draw(weight, generator)]
    distance = (x - x[chosen[0]]).square().sum(1)
    for _ in range(1, k):
        chosen.append(draw(distance * weight, generator))
        distance = torch.minimum(distance, (x - x[chosen[-1]]).square().sum(1))
    return x[chosen]


def draw(weight: Tensor, generator: torch.Generator) -> int:
    """An index with probability proportional to its weight."""
    total = weight.double().cpu().cumsum(0)
    draw = torch.rand((), generator=generator, dtype=torch.float64) * total[-1]
    return int(torch.searchsorted(total, draw, right=True).clamp(max=len(weight) - 1))
