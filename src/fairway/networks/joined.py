"""An input and its context, side by side: the simplest way to condition a network.

[x_1, ..., x_k] -> concatenation of the flattened parts, absent parts left out: (B, sum of their widths)
"""

import torch
from torch import Tensor

from fairway.core.event import Event


def joined(*parts: Tensor | None) -> Tensor:
    """(B, ...) tensors, or None -> (B, width): flattened and concatenated."""
    flat = [part.flatten(1) if part.ndim > 1 else part.unsqueeze(1) for part in parts if part is not None]
    return flat[0] if len(flat) == 1 else torch.cat(flat, 1)


def width(*events: Event | None) -> int:
    """Columns that `joined` makes of one observation of each event (None counts for nothing)."""
    return sum(event.dims for event in events if event is not None)
