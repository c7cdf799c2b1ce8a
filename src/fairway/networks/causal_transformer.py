"""A causal transformer over continuous tokens: what it says of a token depends on the tokens before it alone.

    e_0 = start + p_0 + c,   e_t = W x_{t-1} + p_t + c           p positions, c the embedded context (B, width)
    h = h + attention(norm(h)),   h = h + V gelu(U norm(h))      attention to positions <= t, `layers` times
    y_t = W' norm(h_t),                                          W' = 0 at first

Inputs are shifted by one behind a learned start, so that y_t (B, outputs) depends on x_0, ..., x_{t-1}, and y_0 on the
context. The pre-norm block is Radford et al. 2019's (GPT-2). `init_state` and `step` go one token at a time and keep
keys and values, so that each token is processed once; their results are those of `forward`. A context may be missing:
where it is dropped in training, or None, a learned vector stands for it. Shapes: x (B, T, inputs).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.attention import attend, split_heads
from fairway.networks.dropout import Dropout


class Memory:
    """Keys and values of the tokens so far, (2, B, heads, t, width / heads)."""

    def __init__(self) -> None:
        self.kept: Tensor | None = None

    def append(self, new: Tensor) -> Tensor:
        """Take in one token and return all of them; a gradient finds its way back."""
        self.kept = new if self.kept is None else torch.cat([self.kept, new], 3)
        return self.kept


class State:
    """Where a draw stands: the embedded context (B, width), a memory for each layer, and how many tokens are done."""

    def __init__(self, condition: Tensor, layers: int) -> None:
        self.condition, self.done = condition, 0
        self.memories = [Memory() for _ in range(layers)]


class _Block(nn.Module):
    """Attention and a perceptron of four times the width, each added to the stream."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.project = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = Dropout(dropout) if dropout else None

    def forward(self, h: Tensor, mask: Tensor | None = None, memory: Memory | None = None) -> Tensor:
        h = h + self._dropped(self.merge(self._attention(h, mask, memory)))
        return h + self._dropped(self.perceptron(h))

    def _attention(self, h: Tensor, mask: Tensor | None, memory: Memory | None) -> Tensor:
        query, *rest = split_heads(self.project(self.norm(h)), self.heads)
        key, value = rest if memory is None else memory.append(torch.stack(rest))
        return attend(query, key, value, mask)

    def _dropped(self, h: Tensor) -> Tensor:
        return h if self.dropout is None else self.dropout(h)


class CausalTransformer(Configurable, nn.Module):
    """x (B, T, inputs), context (B, C) or None -> (B, T, outputs).

    Args:
        tokens: T.
        inputs, outputs: width of a token, and of what is said of it.
        context: C, 0 for none.
        width: of the stream; a multiple of heads.
        layers, heads: of attention.
        dropout: share of each layer's output dropped in training.
        context_dropout: share of rows that lose their context in training.

    Raises:
        ValueError: a width that heads do not divide.

    >>> CausalTransformer(4, 3, 2)(torch.zeros(5, 4, 3)).shape
    torch.Size([5, 4, 2])
    """

    role: ClassVar[str] = "network"
    mask: Tensor

    def __init__(
        self,
        tokens: int,
        inputs: int,
        outputs: int,
        context: int = 0,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        context_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"expected a width that is a multiple of heads={heads}, got {width}")
        self.width = width
        self.start, self.positions = nn.Parameter(torch.zeros(width)), nn.Parameter(0.1 * torch.randn(tokens, width))
        self.first, self.last = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.context = nn.Linear(context, width, bias=False) if context else None
        self.context_dropout = Dropout(context_dropout) if context and context_dropout else None
        self.nothing = nn.Parameter(torch.zeros(width)) if self.context_dropout is not None else None
        self.register_buffer("mask", torch.full((tokens, tokens), -torch.inf).triu(1), persistent=False)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def condition(self, n: int, context: Tensor | None) -> Tensor:
        """(n, width): what every token is told of the context; None is no context."""
        if context is None or self.context is None:
            return (torch.zeros_like(self.start) if self.nothing is None else self.nothing).expand(n, self.width)
        told: Tensor = self.context(context)
        if self.context_dropout is None or self.nothing is None:
            return told
        kept = self.context_dropout(torch.ones_like(told[:, :1])) > 0
        return torch.where(kept, told, self.nothing)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        embedded = torch.cat([self.start.expand(len(x), 1, self.width), self.first(x[:, :-1])], 1)
        h = embedded + self.positions + self.condition(len(x), context).unsqueeze(1)
        for block in self.blocks:
            h = block(h, self.mask)
        out: Tensor = self.last(self.norm(h))
        return out

    def init_state(self, n: int, context: Tensor | None = None) -> State:
        """Before the first of n rows' tokens."""
        return State(self.condition(n, context), len(self.blocks))

    def step(self, state: State, previous: Tensor | None) -> Tensor:
        """(n, outputs) of the next token; the state moves on, in place.

        Args:
            state: from `init_state`.
            previous: (n, inputs) the token before it; None at the first.
        """
        embedded = self.start if previous is None else self.first(previous)
        h = (embedded + self.positions[state.done] + state.condition).unsqueeze(1)
        for block, memory in zip(self.blocks, state.memories, strict=True):
            h = block(h, memory=memory)
        state.done += 1
        out: Tensor = self.last(self.norm(h))[:, 0]
        return out
