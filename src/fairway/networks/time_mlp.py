"""A residual perceptron that also sees a time and a context: the small backbone of denoisers.

    c   = silu(A phi(t) + B context)                        see `Conditions`: a context may be missing
    h_0 = W u
    h_l = h_{l-1} + V_l silu(U_l norm(h_{l-1}) + C_l c)     one line per entry of `hidden`
    y   = W' norm(h_L),                                     W' = 0 at first, so that training starts from y = 0

u (B, *U) is flattened and the result has its shape: tables and small images alike.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.conditions import Conditions


class _Block(nn.Module):
    """h + V silu(U norm(h) + C c)."""

    def __init__(self, width: int, inner: int, conditions: int) -> None:
        super().__init__()
        self.norm, self.first = nn.LayerNorm(width), nn.Linear(width, inner)
        self.condition, self.second = nn.Linear(conditions, inner, bias=False), nn.Linear(inner, width)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        out: Tensor = h + self.second(F.silu(self.first(self.norm(h)) + self.condition(c)))
        return out


class TimeMLP(Configurable, nn.Module):
    """u (B, *U), t (B,), context (B, ...) -> (B, outputs U_1, ...).

    Args:
        inputs: entries of u.
        context: entries of the context, 0 for none.
        hidden: inner width of every residual block; the first is also the width of the stream between them.
        conditions: width of c, which every block sees.
        context_dropout: share of rows that lose their context in training, without which there is no guidance.
        outputs: how many answers as large as u are given, one after the other along dim 1.

    >>> import torch
    >>> TimeMLP(6)(torch.zeros(5, 2, 3), torch.rand(5)).shape
    torch.Size([5, 2, 3])
    """

    role: ClassVar[str] = "network"

    def __init__(
        self,
        inputs: int,
        context: int = 0,
        hidden: Sequence[int] = (256, 256, 256),
        conditions: int = 64,
        context_dropout: float = 0.0,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        width = hidden[0]
        self.conditions = Conditions(conditions, context, context_dropout)
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(_Block(width, inner, conditions) for inner in hidden)
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, outputs * inputs))
        for parameter in self.last[1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        c, h = F.silu(self.conditions(t, context)), self.first(u.flatten(1))
        for block in self.blocks:
            h = block(h, c)
        out: Tensor = self.last(h)
        return out.reshape(len(u), -1, *u.shape[2:])
