"""Dropout (Srivastava et al. 2014), the same on one process and on several that share a batch.

Each of W processes draws the mask of all W B rows from the generator that all of them seeded alike, and keeps the part
of its own rows: what one process with the whole batch would have dropped.

>>> Dropout(0.5).eval()(torch.ones(2, 3)).sum()
tensor(6.)
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core import parallel


class Dropout(nn.Dropout):
    """Zero each entry with probability p, scale the others by 1 / (1 - p); rows (B, ...) come first.

    Args:
        p: in [0, 1).
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or not parallel.together():
            return F.dropout(input, self.p, self.training)
        rows, first = len(input), len(input) * parallel.rank()
        every = torch.ones(rows * parallel.size(), *input.shape[1:], dtype=input.dtype, device=input.device)
        return input * F.dropout(every, self.p)[first : first + rows]
