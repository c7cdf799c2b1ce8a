"""What a denoiser's network is told besides its input: the noise level, and a context that may be missing.

    c = A phi(t) + B context                 phi: sines and cosines of t
    c = A phi(t) + nothing                   for rows whose context is dropped, or where there is none

In training a share of the rows loses its context, so that one network learns the law given a context and the law over
all contexts: what classifier-free guidance takes the difference of (Ho and Salimans 2021, algorithm 1). `nothing` is a
learned vector as wide as c, and is there only where context is ever dropped. Shapes: t (B,), context (B, ...),
c (B, conditions), before an activation.
"""

import torch
from torch import Tensor, nn

from fairway.networks.dropout import Dropout
from fairway.networks.embedding import TimeFeatures
from fairway.networks.joined import joined


class Conditions(nn.Module):
    """t (B,), context (B, ...) or None -> (B, conditions).

    Args:
        conditions: width of c, an even number.
        context: entries of the context, 0 for none.
        context_dropout: share of rows that lose their context in training, in [0, 1).

    Raises:
        ValueError: a share outside [0, 1).

    >>> Conditions(8, context=3, context_dropout=0.1)(torch.rand(5), torch.zeros(5, 3)).shape
    torch.Size([5, 8])
    """

    def __init__(self, conditions: int, context: int = 0, context_dropout: float = 0.0) -> None:
        super().__init__()
        if not 0 <= context_dropout < 1:
            raise ValueError(f"expected context_dropout in [0, 1), got {context_dropout}")
        self.time = nn.Sequential(TimeFeatures(conditions), nn.Linear(conditions, conditions))
        self.context = nn.Linear(context, conditions, bias=False) if context else None
        self.context_dropout = Dropout(context_dropout) if context and context_dropout else None
        self.nothing = nn.Parameter(torch.zeros(conditions)) if self.context_dropout is not None else None

    def forward(self, t: Tensor, context: Tensor | None = None) -> Tensor:
        told, c = self._told(context), self.time(t)
        out: Tensor = c if told is None else c + told
        return out

    def _told(self, context: Tensor | None) -> Tensor | None:
        """What is said of the context: (B, conditions), or (conditions,) for all rows alike."""
        if self.context is None or context is None:
            return self.nothing
        told: Tensor = self.context(joined(context))
        if self.context_dropout is None or self.nothing is None:
            return told
        kept = self.context_dropout(torch.ones_like(told[:, :1])) > 0
        return torch.where(kept, told, self.nothing)
