"""Numbers that a transform is made of: learned, and moved by the context where there is one.

    theta(c) = theta + network(c)          (B, count), or (1, count) without a context

One network per transform (amortised inference, Rezende and Mohamed 2015, section 4.2); its last layer starts at zero,
so that the context starts without a say. With `hidden=()` it is linear in the context, as for features of an encoder.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fairway.networks.mlp import MLP


class Amortised(nn.Module):
    """Learned numbers per row.

    Args:
        start: (count,) their values as built.
        context: width of the context, 0 for none.
        hidden: widths of the network.
    """

    def __init__(self, start: Tensor, context: int = 0, hidden: Sequence[int] = ()) -> None:
        super().__init__()
        self.start = nn.Parameter(start.clone())
        self.network = MLP(context, len(start), hidden) if context else None
        if self.network is not None:
            nn.init.zeros_(self.network.last.weight)
            nn.init.zeros_(self.network.last.bias)

    def forward(self, context: Tensor | None) -> Tensor:
        """(B, context) or None -> (B, count) or (1, count)."""
        start = self.start.unsqueeze(0)
        return start if self.network is None else start + self.network(context)


def slope_above_zero(x: Tensor) -> Tensor:
    """An unbounded number as a slope: positive, at least `LEAST`, increasing, and 1 at x = 0 (entrywise)."""
    return LEAST + torch.nn.functional.softplus(x + SHIFT)


LEAST = 1e-3  # no step presses space together by more: what is flat has no inverse
SHIFT = float(torch.tensor(1 - LEAST, dtype=torch.float64).expm1().log())
