"""What a critic is told of the batch, so that it can see a generator that draws one thing only.

    standard deviation    s = mean over channels and pixels of the deviation over the rows of a group   (Karras 2018, 3)
                          (B, C, H, W) -> (B, C + 1, H, W), the last channel s everywhere
    discrimination        M_i = T f_i (kernels, inner),  o_ib = mean over j != i of exp(-|M_ib - M_jb|_1)
                          (B, features) -> (B, features + kernels)                         (Salimans et al. 2016, 3.2)

Groups are of so many rows in their order, the last one of what is left, and nothing else is seen: any batch has
groups, one row is a group without deviation and without others, and real rows and fakes can share a batch where a
group ends between them (they had better pass apart). In the paper on discrimination o is a sum over the whole batch
and over j = i, too; the mean over the others is the same up to a constant, and does not grow with the batch.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

GROUP = 4  # rows, as in the paper
TINY = 1e-8  # under the root, whose slope is infinite at 0


class MinibatchStandardDeviation(nn.Module):
    """(B, C, H, W) -> (B, C + 1, H, W): one more channel, how much the rows of a group differ.

    Args:
        group: rows.

    >>> MinibatchStandardDeviation()(torch.zeros(5, 3, 2, 2)).shape
    torch.Size([5, 4, 2, 2])
    """

    mixes_rows: ClassVar[bool] = True

    def __init__(self, group: int = GROUP) -> None:
        super().__init__()
        self.group = _whole("group", group, 2)

    def forward(self, h: Tensor) -> Tensor:
        return torch.cat([h, _by_group(_deviation, h, self.group).expand(-1, 1, *h.shape[2:])], 1)


class MinibatchDiscrimination(nn.Module):
    """(B, features) -> (B, features + kernels): how near the other rows of a group are, as each kernel sees them.

    Args:
        features: width of the input. kernels: numbers per row. inner: entries that each compares.
        group: rows.
    """

    mixes_rows: ClassVar[bool] = True

    def __init__(self, features: int, kernels: int = 16, inner: int = 8, group: int = 64) -> None:
        super().__init__()
        self.kernels, self.inner, self.group = kernels, inner, _whole("group", group, 2)
        self.project = nn.Linear(features, kernels * inner, bias=False)  # a bias falls out of every difference

    def forward(self, h: Tensor) -> Tensor:
        return torch.cat(
            [h, _by_group(_nearness, self.project(h).unflatten(1, (self.kernels, self.inner)), self.group)], 1
        )


def _by_group(statistic: Callable[[Tensor], Tensor], h: Tensor, group: int) -> Tensor:
    """(groups, rows, ...) -> (groups, rows, ...) on whole groups, and on the rest as one smaller group: (B, ...)."""
    whole = len(h) // group * group
    parts = [h[:whole].unflatten(0, (-1, group)), h[whole:].unsqueeze(0)]
    return torch.cat([statistic(part).flatten(0, 1) for part in parts if part.numel()])


def _deviation(h: Tensor) -> Tensor:
    """(G, n, C, H, W) -> (G, n, 1, 1, 1): mean over entries of the deviation over n rows, 0 where all agree."""
    variance = (h - h.mean(1, keepdim=True)).square().mean(1, keepdim=True)
    deviation = (variance + TINY).sqrt() - TINY**0.5
    return deviation.mean((2, 3, 4), keepdim=True).expand(-1, h.shape[1], -1, -1, -1)


def _nearness(m: Tensor) -> Tensor:
    """(G, n, kernels, inner) -> (G, n, kernels): mean over the other rows of exp(-|difference|_1), 0 for a lone row."""
    distance = (m.unsqueeze(1) - m.unsqueeze(2)).abs().sum(-1)
    return ((-distance).exp().sum(2) - 1) / max(m.shape[1] - 1, 1)


def _whole(name: str, value: int, least: int) -> int:
    if value < least:
        raise ValueError(f"expected {name} as an integer of at least {least}, got {value}")
    return value
