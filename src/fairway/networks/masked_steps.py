"""A masked network, one variable at a time: all steps together use every weight once and cost one pass.

    step r:   x of rank r - 1 comes in;  in each layer the units of degree r - 1 are computed from all that is known;
              the outputs of rank r are read

Units of one degree are a slice, since degrees are sorted; the batch lies last, so that slices are contiguous. The place
of a unit holds its offset b + V c until its turn, when its inputs are added on. Weights from what is not known yet are
zero, so a step may multiply more columns than it must: ranks go in blocks, and a block has one width, because on few
rows an operation takes longer to call than to do. No gradient flows: units are written in place.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from fairway.networks.masked import MaskedLinear, MaskedMLP

FEW_ROWS = 1024
BLOCKS = 4, 16  # of ranks, for few rows and for many


class _Layer:
    """A layer on its way: for each rank what to add to, the rows of its weights, and what they are multiplied with.

    Args:
        weight: (outputs, inputs) masked.
        totals: (outputs, B) or (outputs, 1) offsets, to be completed.
        below: (inputs, B) values of the layer below, completed before.
        starts: first output of each rank, and the end.
        known: columns known at each rank.
        blocks: runs of ranks (first, last + 1).
    """

    def __init__(
        self, weight: Tensor, totals: Tensor, below: Tensor, starts: list[int], known: list[int], blocks: list[range]
    ) -> None:
        self.totals, self.rows, self.below = [], [], []
        for block in blocks:
            sizes = [starts[rank + 1] - starts[rank] for rank in block]
            first, last, width = starts[block[0]], starts[block[-1] + 1], known[block[-1]]
            self.totals += totals[first:last].split(sizes)
            self.rows += weight[first:last, :width].contiguous().split(sizes)
            self.below += [below[:width]] * len(block)


class MaskedSteps:
    """What the variables so far determine.

    Args:
        network: as it is now; later changes of its weights are not seen.
        batch: rows B.
        context: (B, C) or None.
        keep: hold all outputs in one `outputs` (D * P, B), by rank.

    Attributes:
        inputs: (D * features, B) by rank: those of a variable are written before the step of the next one.
    """

    @torch.no_grad()
    def __init__(self, network: "MaskedMLP", batch: int, context: Tensor | None = None, keep: bool = False) -> None:
        layers: list[MaskedLinear] = list(network.layers)  # type: ignore[arg-type]
        self.network, self.rank, ranks, per = network, 0, network.variables, network.outputs
        columns, rows = _by_rank(network.order, network.features), _by_rank(network.order, per)
        weights = [layer.masked_weight for layer in layers]
        weights[0] = weights[0][:, columns]
        weights[-1] = weights[-1][rows]
        offsets = [layer.offset_columns(context) for layer in layers]
        offsets[-1] = offsets[-1][rows]
        self.inputs = weights[0].new_zeros(len(columns), batch)
        self.values = [self.inputs, *(offset.expand(-1, batch).clone() for offset in offsets[:-1])]
        self.outputs = offsets[-1].expand(-1, batch).clone() if keep else None
        heads = offsets[-1] if self.outputs is None else self.outputs
        known = [[rank * network.features for rank in range(ranks)], *(starts[1:] for starts in network._starts)]
        starts = [*network._starts, [rank * per for rank in range(ranks + 1)]]
        blocks = _blocks(ranks, BLOCKS[batch > FEW_ROWS])
        self.layers = [
            _Layer(*parts, blocks)
            for parts in zip(weights, [*self.values[1:], heads], self.values, starts, known, strict=True)
        ]
        widths = [len(value) for value in self.values]
        self.adds = [network._adds(a, b, i == 0) for i, (a, b) in enumerate(pairwise(widths))]
        self.direct = None
        if network.direct is not None:
            self.direct = network.direct.masked_weight[rows][:, columns], network.direct.bias[rows].unsqueeze(1)

    def step(self, features: Tensor | None = None) -> Tensor:
        """(outputs, B) of the next variable.

        Args:
            features: (features, B) of the variable before it; None at the first, or where `inputs` hold them already.
        """
        rank, per = self.rank, self.network.outputs
        if features is not None:
            self.inputs[(rank - 1) * len(features) : rank * len(features)] = features
        for i, layer in enumerate(self.layers[:-1]):
            if len(units := layer.totals[rank]):
                out = self.network.act.forward(units.addmm_(layer.rows[rank], layer.below[rank]))
                if self.adds[i]:
                    out = out + self.layers[i - 1].totals[rank]
                if out is not units:
                    units.copy_(out)
        head = self.layers[-1]
        total = torch.addmm if self.outputs is None else Tensor.addmm_
        y: Tensor = total(head.totals[rank], head.rows[rank], head.below[rank])
        if self.direct is not None:
            weight, bias = (part[rank * per : (rank + 1) * per] for part in self.direct)
            y += torch.addmm(bias, weight, self.inputs)
        self.rank += 1
        return y


def _by_rank(order: list[int], per: int) -> Tensor:
    """Indices of all entries, some for each variable, by the rank of their variables."""
    return (torch.tensor(order).unsqueeze(1) * per + torch.arange(per)).flatten()


def _blocks(ranks: int, count: int) -> list[range]:
    """About `count` runs of ranks."""
    size = -(-ranks // count)
    return [range(first, min(first + size, ranks)) for first in range(0, ranks, size)]
