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
from torch import Tensor, nn

if TYPE_CHECKING:
    from fairway.networks.masked import MaskedLinear, MaskedMLP

FEW_ROWS = 1024
SHORTEST = 16  # ranks of a block, for few rows
MOST = 16  # blocks, for many rows


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
        self.sizes = [end - start for start, end in pairwise(starts)]
        self.totals = totals[starts[0] : starts[-1]].split(self.sizes)
        self.rows: list[Tensor] = []
        self.below: list[Tensor] = []
        for block in blocks:
            first, last, width = starts[block[0]], starts[block[-1] + 1], known[block[-1]]
            rows = weight[first:last, :width]
            rows = rows if len(blocks) == 1 else rows.contiguous()
            self.rows += rows.split(self.sizes[block.start : block.stop])
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
        weights, self.direct = network.by_rank()
        offsets = [layer.offset_columns(context) for layer in layers]
        offsets[-1] = offsets[-1][network.outward]
        self.inputs = weights[0].new_zeros(weights[0].shape[1], batch)
        self.values = [self.inputs, *(offset.expand(-1, batch).clone() for offset in offsets[:-1])]
        self.outputs = offsets[-1].expand(-1, batch).clone() if keep else None
        heads = offsets[-1] if self.outputs is None else self.outputs
        known = [[rank * network.features for rank in range(ranks)], *(starts[1:] for starts in network._starts)]
        starts = [*network._starts, [rank * per for rank in range(ranks + 1)]]
        blocks = _blocks(ranks, SHORTEST if batch <= FEW_ROWS else -(-ranks // MOST))
        *hidden, self.head = [
            _Layer(*parts, blocks)
            for parts in zip(weights, [*self.values[1:], heads], self.values, starts, known, strict=True)
        ]
        self.act = torch.relu_ if isinstance(network.act, nn.ReLU) else network.act.forward
        self.units = self._units_of_ranks(hidden)

    def _units_of_ranks(self, hidden: list[_Layer]) -> list[list[tuple[Tensor, Tensor, Tensor, Tensor | None]]]:
        """For each rank and each layer that has units of it: these, weights, what they see, and what is added."""
        widths = [len(value) for value in self.values]
        adds = [self.network._adds(a, b, i == 0) for i, (a, b) in enumerate(pairwise(widths))]
        return [
            [
                (layer.totals[r], layer.rows[r], layer.below[r], hidden[i - 1].totals[r] if adds[i] else None)
                for i, layer in enumerate(hidden)
                if layer.sizes[r]
            ]
            for r in range(self.network.variables)
        ]

    def step(self, features: Tensor | None = None) -> Tensor:
        """(outputs, B) of the next variable.

        Args:
            features: (features, B) of the variable before it; None at the first, or where `inputs` hold them already.
        """
        rank, head, per = self.rank, self.head, self.network.outputs
        if features is not None:
            self.inputs[(rank - 1) * len(features) : rank * len(features)] = features
        for units, rows, below, before in self.units[rank]:
            out = self.act(units.addmm_(rows, below))
            out = out if before is None else out + before
            if out is not units:
                units.copy_(out)
        total = torch.addmm if self.outputs is None else Tensor.addmm_
        y: Tensor = total(head.totals[rank], head.rows[rank], head.below[rank])
        if self.direct is not None:
            weight, bias = (part[rank * per : (rank + 1) * per] for part in self.direct)
            y += torch.addmm(bias, weight, self.inputs)
        self.rank += 1
        return y


def _blocks(ranks: int, size: int) -> list[range]:
    """Runs of ranks."""
    return [range(first, min(first + size, ranks)) for first in range(0, ranks, size)]
